// A board under Verilator with a host at its pins: what it writes goes over the wire bit by bit. At
// the pins is a UART, or with NC_SPI the master of an SPI bus.
//
// Compiled with the model into a shared library; the functions below are its interface (ctypes).
#include <cstdint>
#include <deque>
#include <vector>

#include "Vnc_board.h"
#include "svdpi.h"
#include "verilated.h"

namespace {

// Of a cycle: the link offers a word, takes one, the chip took the word, the chip is reset.
enum : uint8_t { OFFERS = 1, TAKES = 2, TAKEN = 4, RESETS = 8 };

struct Sent {
    int32_t core, index, sent;
};

struct Recording {
    bool on = false;
    std::vector<uint8_t> link;
    std::vector<Sent> sent;
};

thread_local Recording *recording = nullptr;

struct Board {
    VerilatedContext context;
    Vnc_board top{&context};
    Recording recorded;
    // Time in 1/256 of the chip's cycles: the host has a clock of its own.
    uint64_t now = 0;
    uint64_t bit = 0;
    // To the chip.
    std::deque<uint8_t> out;
    int sending = -1;  // which bit, -1: none
    uint64_t next = 0;
    uint64_t held = 0;  // the line is forced low until then
    uint8_t byte = 0;
    // From the chip.
    std::deque<uint8_t> in;
    int receiving = -1;
    uint64_t sample = 0;
    uint8_t shift = 0;
    bool was = true;
    int64_t broken = 0;

#ifdef NC_SPI
    // Half a period of sck for each half of `bit`. The bus never rests; every 16 bytes the slave is
    // deselected for a bit.
    int64_t bytes = 0;

    void drive() {
        if (now < next) return;
        next += bit / 2;
        if (sending < 0) {
            top.cs_n = ++bytes % 16 == 0;
            if (top.cs_n) return;
            byte = 0x86;  // NOTHING
            if (!out.empty()) {
                byte = out.front();
                out.pop_front();
            }
            sending = 0;
            top.mosi = byte >> 7;
        } else if (!top.sck) {
            top.sck = 1;
            shift = (shift << 1) | top.miso;
        } else {
            top.sck = 0;
            if (++sending == 8) {
                sending = -1;
                in.push_back(shift);
                next -= bit / 2;
            } else {
                top.mosi = (byte >> (7 - sending)) & 1;
            }
        }
    }

    void listen() {}
#else
    void drive() {
        if (sending < 0 && !out.empty() && now >= held) {
            byte = out.front();
            out.pop_front();
            sending = 0;
            next = now + bit;
        } else if (sending >= 0 && now >= next) {
            next += bit;
            if (++sending == 10) sending = -1;
        }
        bool level = true;
        if (sending == 0) level = false;
        if (sending >= 1 && sending <= 8) level = (byte >> (sending - 1)) & 1;
        top.rx = level && now >= held;
    }

    void listen() {
        const bool line = top.tx;
        if (receiving < 0) {
            if (was && !line) {
                receiving = 0;
                sample = now + bit / 2;
            }
        } else if (now >= sample) {
            sample += bit;
            if (receiving >= 1 && receiving <= 8) shift = (shift >> 1) | (line ? 0x80 : 0);
            if (receiving == 9) {
                if (line) in.push_back(shift);
                else ++broken;
            }
            if (++receiving == 10) receiving = -1;
        }
        was = line;
    }
#endif

    void tick() {
        drive();
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
        now += 256;
        listen();
    }
};

}  // namespace

extern "C" void nc_probe_link(svBit rst, svBit host_valid, svBit host_ready, svBit out_ready) {
    if (recording == nullptr || !recording->on) return;
    recording->link.push_back((host_valid ? OFFERS : 0) | (out_ready ? TAKES : 0)
                              | (host_valid && host_ready ? TAKEN : 0) | (rst ? RESETS : 0));
}

extern "C" void nc_probe_neuron(int core, int index, int, int, int sent) {
    if (recording == nullptr || !recording->on) return;
    recording->sent.push_back(Sent{core, index, sent});
}

extern "C" void *nc_board_new(uint64_t bit) {
    Board *board = new Board;
    board->bit = bit;
    board->top.clk = 0;
#ifdef NC_SPI
    board->top.cs_n = 1;
#else
    board->top.rx = 1;
#endif
    board->top.eval();
    return board;
}

extern "C" void nc_board_free(void *handle) {
    recording = nullptr;
    delete static_cast<Board *>(handle);
}

extern "C" void nc_board_write(void *handle, const uint8_t *data, int64_t n) {
    Board &board = *static_cast<Board *>(handle);
    board.out.insert(board.out.end(), data, data + n);
}

// Holds the line to the chip low for some cycles, after what is written is sent.
extern "C" void nc_board_low(void *handle, int64_t cycles) {
    Board &board = *static_cast<Board *>(handle);
    while (!board.out.empty() || board.sending >= 0) board.tick();
    board.held = board.now + 256 * cycles;
    while (board.now < board.held) board.tick();
}

// Runs until the host has `n` bytes, or for `limit` cycles. Returns how many bytes it has.
extern "C" int64_t nc_board_run(void *handle, int64_t n, int64_t limit) {
    Board &board = *static_cast<Board *>(handle);
    recording = &board.recorded;
    for (int64_t i = 0; i < limit && static_cast<int64_t>(board.in.size()) < n; ++i) board.tick();
    recording = nullptr;
    return static_cast<int64_t>(board.in.size());
}

// Takes `n` bytes that the host has.
extern "C" void nc_board_take(void *handle, uint8_t *data, int64_t n) {
    Board &board = *static_cast<Board *>(handle);
    for (int64_t i = 0; i < n; ++i) {
        data[i] = board.in.front();
        board.in.pop_front();
    }
}

extern "C" void nc_board_record(void *handle, int on) {
    Board &board = *static_cast<Board *>(handle);
    board.recorded = Recording{};
    board.recorded.on = on != 0;
}

extern "C" int64_t nc_board_cycles(void *handle) {
    return static_cast<int64_t>(static_cast<Board *>(handle)->now / 256);
}

extern "C" int64_t nc_board_broken(void *handle) { return static_cast<Board *>(handle)->broken; }

extern "C" int64_t nc_board_link(void *handle, const uint8_t **data) {
    const Board &board = *static_cast<Board *>(handle);
    *data = board.recorded.link.data();
    return static_cast<int64_t>(board.recorded.link.size());
}

extern "C" int64_t nc_board_sent(void *handle, const int32_t **data) {
    const Board &board = *static_cast<Board *>(handle);
    *data = &board.recorded.sent.data()->core;
    return static_cast<int64_t>(board.recorded.sent.size());
}
