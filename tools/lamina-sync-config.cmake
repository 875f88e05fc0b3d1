# find_package(lamina-sync): the targets lamina::sync and lamina::sync_static.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/lamina-sync-targets.cmake)
