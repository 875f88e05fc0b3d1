# Cross build for arm64 Linux; tests run under qemu-aarch64:
#   cmake -S . -B build-arm64 -G Ninja -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# pkg-config knows the libraries of the machine that builds, which are of another architecture.
set(CMAKE_DISABLE_FIND_PACKAGE_PkgConfig ON)
find_program(LAMINA_QEMU qemu-aarch64)
if(LAMINA_QEMU)
    set(CMAKE_CROSSCOMPILING_EMULATOR "${LAMINA_QEMU};-L;/usr/aarch64-linux-gnu")
endif()
