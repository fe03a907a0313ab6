/* From reset to main. The boot ROM copies the first 256 bytes of flash into RAM, checks their CRC and runs them [2.8.1].
 * They copy all else into RAM, where it runs from then on. So flash can be written while interrupts are served. */
#include "rp2040.h"

extern const uint32_t image_in_flash[]; /* rp2040.ld names these places */
extern uint32_t image_start[], image_end[], zeros_start[], zeros_end[], stack_top[];

int main(void);

typedef void (*handler)(void);
extern const handler vectors[];

#define SSI_READS_FLASH (31UL << 16 | 3UL << 8)               /* words of 32 bits; command and address out, data in */
#define SSI_COMMAND_03 (3UL << 24 | 2UL << 8 | 6UL << 2)      /* command 03h of 8 bits, address of 24 bits, one wire */
#define SSI_DIVIDER 4                                         /* 12 MHz at most; every flash chip bears 33 with this command */

/* Runs elsewhere than it is linked for, so it calls nothing. Volatile, lest the loop becomes a call of memcpy. */
__attribute__((section(".boot2"), used, noreturn)) void boot2(void) {
    SSI_SSIENR = 0;
    SSI_BAUDR = SSI_DIVIDER;
    SSI_CTRLR0 = SSI_READS_FLASH;
    SSI_CTRLR1 = 0;
    SSI_SPI_CTRLR0 = SSI_COMMAND_03;
    SSI_SSIENR = 1;
    const volatile uint32_t *from = image_in_flash;
    for (volatile uint32_t *to = image_start; to < image_end;) *to++ = *from++;
    VTOR = (uint32_t)vectors;
    __asm__ volatile("ldr r0, [%0]\n msr msp, r0\n ldr r0, [%0, #4]\n bx r0" : : "r"(vectors) : "r0", "memory");
    __builtin_unreachable();
}

static void start(void) {
    for (volatile uint32_t *at = zeros_start; at < zeros_end;) *at++ = 0;
    main();
}

/* Whatever should not happen: limp at once, and the watchdog resets. */
static void halt(void) {
    SIO_GPIO_OUT_SET = 1UL << PIN_OE;
    for (;;) {}
}

__attribute__((section(".vectors"), used)) const handler vectors[] = {
    (handler)stack_top, start, halt, halt, [11] = halt, [14] = halt, [15] = on_millisecond,
    [16 ... 15 + UART0_IRQ] = halt, [16 + UART0_IRQ] = on_serial, /* no later one is enabled */
};
