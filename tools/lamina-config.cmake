# find_package(lamina): the targets lamina::lamina and lamina::lamina_static.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/lamina-targets.cmake)
