/* Registers of the RP2040, as its data sheet names them; sections of the data sheet in brackets. */
#ifndef RP2040_H
#define RP2040_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
/* Every peripheral has copies of its registers that set or clear the bits written to them [2.1.2]. */
#define SET(name) REGISTER((uint32_t)&(name) + 0x2000)
#define CLEAR(name) REGISTER((uint32_t)&(name) + 0x3000)

/* Pins: README.md. */
#define PIN_TX 0
#define PIN_RX 1
#define PIN_SDA 4
#define PIN_SCL 5
#define PIN_OE 6
#define PIN_SUPPLY 26 /* ADC input 0 */
#define PIN_FREE 27   /* ADC input 1, left open */

/* Memory [2.6] */
#define FLASH_UNCACHED 0x13000000UL

/* Flash interface [4.10] */
#define SSI_CTRLR0 REGISTER(0x18000000UL)
#define SSI_CTRLR1 REGISTER(0x18000004UL)
#define SSI_SSIENR REGISTER(0x18000008UL)
#define SSI_BAUDR REGISTER(0x18000014UL)
#define SSI_SPI_CTRLR0 REGISTER(0x180000F4UL)

/* Clocks [2.15] */
#define CLK_REF_CTRL REGISTER(0x40008030UL)
#define CLK_REF_SELECTED REGISTER(0x40008038UL)
#define CLK_SYS_CTRL REGISTER(0x4000803CUL)
#define CLK_SYS_SELECTED REGISTER(0x40008044UL)
#define CLK_PERI_CTRL REGISTER(0x40008048UL)
#define CLK_ADC_CTRL REGISTER(0x40008060UL)

/* Resets of peripherals [2.14] */
#define RESETS_RESET REGISTER(0x4000C000UL)
#define RESETS_DONE REGISTER(0x4000C008UL)
#define RESET_ADC (1UL << 0)
#define RESET_IO_BANK0 (1UL << 5)
#define RESET_PADS_BANK0 (1UL << 8)
#define RESET_PLL_USB (1UL << 13)
#define RESET_TIMER (1UL << 21)
#define RESET_UART0 (1UL << 22)

/* What a watchdog reset resets [2.13] */
#define PSM_WDSEL REGISTER(0x40010008UL)

/* Pins [2.19] */
#define GPIO_CTRL(pin) REGISTER(0x40014004UL + 8 * (pin))
#define FUNCTION_UART 2
#define FUNCTION_SIO 5
#define PAD(pin) REGISTER(0x4001C004UL + 4 * (pin))
#define PAD_SCHMITT (1UL << 1)
#define PAD_PULL_UP (1UL << 3)
#define PAD_4_MA (1UL << 4)
#define PAD_INPUT (1UL << 6)
#define PAD_NO_OUTPUT (1UL << 7)

/* Crystal oscillator [2.16] and PLL [2.18] */
#define XOSC_CTRL REGISTER(0x40024000UL)
#define XOSC_STATUS REGISTER(0x40024004UL)
#define XOSC_STARTUP REGISTER(0x4002400CUL)
#define PLL_USB_CS REGISTER(0x4002C000UL)
#define PLL_USB_PWR REGISTER(0x4002C004UL)
#define PLL_USB_FBDIV_INT REGISTER(0x4002C008UL)
#define PLL_USB_PRIM REGISTER(0x4002C00CUL)
#define PLL_POWER_DOWN (1UL << 0)
#define PLL_DIVIDERS_DOWN (1UL << 3)
#define PLL_VCO_DOWN (1UL << 5)

/* Serial port [4.2.8] */
#define UART0_DR REGISTER(0x40034000UL)
#define UART0_FR REGISTER(0x40034018UL)
#define UART0_IBRD REGISTER(0x40034024UL)
#define UART0_FBRD REGISTER(0x40034028UL)
#define UART0_LCR_H REGISTER(0x4003402CUL)
#define UART0_CR REGISTER(0x40034030UL)
#define UART0_IFLS REGISTER(0x40034034UL)
#define UART0_IMSC REGISTER(0x40034038UL)
#define UART_RX_EMPTY (1UL << 4)
#define UART_TX_FULL (1UL << 5)
#define UART_RX_DUE (1UL << 4)
#define UART_TX_DUE (1UL << 5)
#define UART_RX_TIMEOUT (1UL << 6)

/* ADC [4.9.6] */
#define ADC_CS REGISTER(0x4004C000UL)
#define ADC_RESULT REGISTER(0x4004C004UL)
#define ADC_ENABLE (1UL << 0)
#define ADC_START (1UL << 2)
#define ADC_READY (1UL << 8)
#define ADC_INPUT(n) ((uint32_t)(n) << 12)

/* Microseconds since the reset, lower half [4.6] */
#define TIMER_TIMERAWL REGISTER(0x40054028UL)

/* Watchdog [4.7] */
#define WATCHDOG_CTRL REGISTER(0x40058000UL)
#define WATCHDOG_LOAD REGISTER(0x40058004UL)
#define WATCHDOG_REASON REGISTER(0x40058008UL)
#define WATCHDOG_SCRATCH0 REGISTER(0x4005800CUL)
#define WATCHDOG_TICK REGISTER(0x4005802CUL)
#define WATCHDOG_ENABLE (1UL << 30)

/* A random bit of the ring oscillator [2.17.5]; the last reset of the chip [2.12.7] */
#define ROSC_RANDOMBIT REGISTER(0x4006001CUL)
#define CHIP_RESET REGISTER(0x40064008UL)
#define CHIP_RESET_POWER (1UL << 8)

/* Pins, read and driven within a cycle [2.3.1] */
#define SIO_GPIO_IN REGISTER(0xD0000004UL)
#define SIO_GPIO_OUT_SET REGISTER(0xD0000014UL)
#define SIO_GPIO_OUT_CLR REGISTER(0xD0000018UL)
#define SIO_GPIO_OE_SET REGISTER(0xD0000024UL)
#define SIO_GPIO_OE_CLR REGISTER(0xD0000028UL)

/* Of the processor [2.4.8] */
#define SYST_CSR REGISTER(0xE000E010UL)
#define SYST_RVR REGISTER(0xE000E014UL)
#define SYST_CVR REGISTER(0xE000E018UL)
#define NVIC_ISER REGISTER(0xE000E100UL)
#define VTOR REGISTER(0xE000ED08UL)
#define UART0_IRQ 20

/* Interrupt handlers, in the vector table of start_rp2040.c. */
void on_millisecond(void);
void on_serial(void);

/* Makes the stored bytes readable; may erase flash, which takes up to two seconds. Before the watchdog runs. */
void eeprom_start(void);

#endif
