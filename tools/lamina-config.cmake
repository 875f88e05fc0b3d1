# find_package(lamina): the targets lamina::lamina and lamina::lamina_static, and lamina::sync,
# lamina::sync_static of the sub-library, which find_package(lamina-sync) gives alone.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/lamina-targets.cmake)
find_dependency(lamina-sync HINTS ${CMAKE_CURRENT_LIST_DIR}/../lamina-sync)
