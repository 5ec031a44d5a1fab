/* The signal mask's part in sigsetjmp and siglongjmp. */
#include "libroot.h"
#include <setjmp.h>

void setjmp_restore(unsigned long* registers, int value) __attribute__((noreturn));

/* The last step of sigsetjmp: its result is sigsetjmp's. */
__attribute__((visibility("hidden"))) int setjmp_save_mask(sigjmp_buf environment, int saveMask)
{
	environment->has_mask = saveMask;
	if (saveMask)
		_kern_set_signal_mask(SIG_BLOCK, NULL, &environment->mask);
	return 0;
}

EXPORT void siglongjmp(sigjmp_buf environment, int value)
{
	if (environment->has_mask)
		_kern_set_signal_mask(SIG_SETMASK, &environment->mask, NULL);
	setjmp_restore(environment->registers, value != 0 ? value : 1);
}

EXPORT void longjmp(jmp_buf environment, int value)
{
	siglongjmp(environment, value);
}
