/*
 * Fibres: a stack each, and a switch that saves what the ABI lets a callee keep. A scene switches a
 * million times a second, which ucontext's two system calls a switch would halve.
 */
#include "stmc_int.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t bytes);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *bytes);
void __asan_unpoison_memory_region(const volatile void *p, size_t n);
static const void *main_bottom;
static size_t main_bytes;
#endif

void stmc_switch_stack(void **save, void *load);

#if defined(__x86_64__)
__asm__(".pushsection .text\n.globl stmc_switch_stack\n.type stmc_switch_stack,@function\n"
        "stmc_switch_stack:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
        ".size stmc_switch_stack,.-stmc_switch_stack\n"
        ".popsection\n");
#define RETURN_WORD 6
#define FRAME_WORDS 8
#elif defined(__aarch64__)
__asm__(".pushsection .text\n.globl stmc_switch_stack\n.type stmc_switch_stack,%function\n"
        "stmc_switch_stack:\n"
        "stp x29,x30,[sp,#-160]!\nstp x19,x20,[sp,#16]\nstp x21,x22,[sp,#32]\n"
        "stp x23,x24,[sp,#48]\nstp x25,x26,[sp,#64]\nstp x27,x28,[sp,#80]\n"
        "stp d8,d9,[sp,#96]\nstp d10,d11,[sp,#112]\nstp d12,d13,[sp,#128]\nstp d14,d15,[sp,#144]\n"
        "mov x9,sp\nstr x9,[x0]\nmov sp,x1\n"
        "ldp x19,x20,[sp,#16]\nldp x21,x22,[sp,#32]\nldp x23,x24,[sp,#48]\n"
        "ldp x25,x26,[sp,#64]\nldp x27,x28,[sp,#80]\nldp d8,d9,[sp,#96]\n"
        "ldp d10,d11,[sp,#112]\nldp d12,d13,[sp,#128]\nldp d14,d15,[sp,#144]\n"
        "ldp x29,x30,[sp],#160\nret\n"
        ".size stmc_switch_stack,.-stmc_switch_stack\n"
        ".popsection\n");
#define RETURN_WORD 1
#define FRAME_WORDS 20
#else
#error "stmc switches stacks on x86-64 and AArch64"
#endif

static void (*entry)(void);

static void first(void)
{
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(NULL, &main_bottom, &main_bytes);
#endif
    entry();
}

void stmc_fibre_start(fibre *f, void (*fn)(void))
{
    if (!f->stack) {
        f->stack = mmap(NULL, STMC_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
        if (f->stack == MAP_FAILED) {
            f->stack = NULL;
            stmc_fail("no memory for the stack of a thread");
            return;
        }
    }
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(f->stack, STMC_STACK_BYTES); /* of a run cut short */
#endif
    entry = fn;
    void **top = (void **)((char *)f->stack + STMC_STACK_BYTES) - FRAME_WORDS;
    for (int i = 0; i < FRAME_WORDS; i++) top[i] = NULL;
    void (*start)(void) = first;
    __builtin_memcpy(&top[RETURN_WORD], &start, sizeof start);
    f->sp = top;
    f->fake_stack = NULL;
}

void stmc_fibre_switch(fibre *from, fibre *to)
{
#ifdef WITH_ASAN
    const void *bottom = to->stack ? to->stack : main_bottom;
    __sanitizer_start_switch_fiber(&from->fake_stack, bottom,
                                   to->stack ? STMC_STACK_BYTES : main_bytes);
#endif
    stmc_switch_stack(&from->sp, to->sp);
#ifdef WITH_ASAN
    const void *old;
    size_t old_bytes;
    __sanitizer_finish_switch_fiber(from->fake_stack, from->stack ? &main_bottom : &old,
                                    from->stack ? &main_bytes : &old_bytes);
#endif
}
