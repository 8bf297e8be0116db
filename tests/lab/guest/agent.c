/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The part of the lab's guest that a shell cannot do. Built with `tcc -nostdlib -static`, so without a libc: system
 * calls only (x86-64).
 *
 *   agent echo           answers every UDP packet on port 7; "reboot" and "poweroff" there do so at once
 *   agent dirty W@R      keeps W MiB of memory and rewrites it page by page at about R MiB/s; R = 0: as fast as it can
 */

typedef unsigned long u64;

enum { SYS_write = 1, SYS_mmap = 9, SYS_nanosleep = 35, SYS_socket = 41, SYS_sendto = 44, SYS_recvfrom = 45,
       SYS_bind = 49, SYS_exit = 60, SYS_reboot = 169, SYS_clock_gettime = 228 };
enum { PAGE = 4096, BATCH_PAGES = 64, LINE_WORDS = 8 };

static long call(long n, long a, long b, long c, long d, long e, long f)
{
    long result;
    __asm__ volatile("mov %5, %%r10\n\tmov %6, %%r8\n\tmov %7, %%r9\n\tsyscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "m"(d), "m"(e), "m"(f)
                     : "rcx", "r8", "r9", "r10", "r11", "memory");
    return result;
}

static void quit(const char *message)
{
    long length = 0;
    while (message[length])
        length++;
    call(SYS_write, 2, (long)message, length, 0, 0, 0);
    call(SYS_exit, 1, 0, 0, 0, 0, 0);
}

/* Nanoseconds of the clock behind /proc/uptime. */
static u64 uptime_ns(void)
{
    u64 spec[2];
    call(SYS_clock_gettime, 7 /* CLOCK_BOOTTIME */, (long)spec, 0, 0, 0, 0);
    return spec[0] * 1000000000UL + spec[1];
}

static void pause_ns(u64 ns)
{
    u64 spec[2];
    spec[0] = ns / 1000000000UL;
    spec[1] = ns % 1000000000UL;
    call(SYS_nanosleep, (long)spec, 0, 0, 0, 0, 0);
}

static int equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static void obey(const char *word)
{
    long command = equal(word, "reboot") ? 0x01234567 : equal(word, "poweroff") ? 0x4321fedc : 0;
    if (command)
        call(SYS_reboot, 0xfee1dead, 672274793, command, 0, 0, 0);
}

static void echo(void)
{
    static char packet[65537];
    unsigned char address[16], peer[16];
    unsigned int peer_length;
    long i, size, fd = call(SYS_socket, 2 /* AF_INET */, 2 /* SOCK_DGRAM */, 0, 0, 0, 0);
    for (i = 0; i < 16; i++)
        address[i] = 0;
    address[0] = 2;
    address[3] = 7;
    if (fd < 0 || call(SYS_bind, fd, (long)address, 16, 0, 0, 0) < 0)
        quit("agent: cannot listen on UDP port 7\n");
    for (;;) {
        peer_length = 16;
        size = call(SYS_recvfrom, fd, (long)packet, sizeof(packet) - 1, 0, (long)peer, (long)&peer_length);
        if (size < 0)
            continue;
        packet[size] = 0;
        obey(packet);
        call(SYS_sendto, fd, (long)packet, size, 0, (long)peer, peer_length);
    }
}

static const char *number(const char *text, u64 *value)
{
    *value = 0;
    while (*text >= '0' && *text <= '9')
        *value = *value * 10 + (*text++ - '0');
    return text;
}

/* Every word written differs from its neighbours and from the last pass: no zero pages, no duplicates, nothing to
 * compress. The first pass writes every word, later ones a word per cache line: under TCG that decides the rate. */
static void fill(u64 *page, u64 seed, long step)
{
    u64 *end = page + PAGE / 8;
    while (page < end) {
        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
        *page = seed | 1;
        page += step;
    }
}

static void dirty(const char *wanted)
{
    u64 set_mib, rate_mib_s, pages, i, written = 0, start, due, now;
    char *memory;
    wanted = number(wanted, &set_mib);
    if (*wanted++ != '@' || !set_mib)
        quit("agent: expected dirty W@R, W MiB at R MiB/s\n");
    number(wanted, &rate_mib_s);
    pages = set_mib * 256;
    memory = (char *)call(SYS_mmap, 0, pages * PAGE, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
    if ((long)memory < 0 && (long)memory > -4096)
        quit("agent: the guest has too little memory for this working set\n");
    start = uptime_ns();
    for (;;) {
        for (i = 0; i < BATCH_PAGES; i++, written++)
            fill((u64 *)(memory + written % pages * PAGE), start + (written + 1) * 0x9E3779B97F4A7C15UL,
                 written < pages ? 1 : LINE_WORDS);
        if (!rate_mib_s)
            continue;
        due = start + written * 1000000000UL / (rate_mib_s * 256);
        now = uptime_ns();
        if (now < due)
            pause_ns(due - now);
        else if (now - due > 1000000000UL) { /* stopped for a while: do not catch up in one burst */
            start = now - written * 1000000000UL / (rate_mib_s * 256);
        }
    }
}

void agent_main(long *stack)
{
    long count = stack[0];
    char **arguments = (char **)(stack + 1);
    if (count == 2 && equal(arguments[1], "echo"))
        echo();
    if (count == 3 && equal(arguments[1], "dirty"))
        dirty(arguments[2]);
    quit("usage: agent echo | agent dirty W@R\n");
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall agent_main\n");
