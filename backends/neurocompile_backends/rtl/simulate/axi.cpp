// A design behind AXI under Verilator, with a simple DMA at its streams and a processor at its
// registers.
//
// Compiled with the model into a shared library; the functions below are its interface (ctypes).
#include <cstdint>
#include <deque>
#include <vector>

#include "Vnc_axi_top.h"
#include "svdpi.h"
#include "verilated.h"

namespace {

struct Chip {
    VerilatedContext context;
    Vnc_axi_top top{&context};
    uint64_t random = 0x9E3779B97F4A7C15;
    uint32_t stall = 0;  // of 256 cycles, how many the streams rest
    uint64_t now = 0;
    // Memory to stream: beats of a transfer, TLAST with its last.
    std::deque<uint64_t> out;
    // Stream to memory: room for so many beats; what came, until TLAST.
    int64_t room = 0;
    bool receiving = false;
    bool overrun = false;  // a packet was longer than its transfer
    std::vector<uint64_t> in;

    bool rests() {  // xorshift64 (Marsaglia 2003)
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return (random & 255) < stall;
    }

    void tick() {
        if (!top.s_axis_tvalid && !out.empty() && !rests()) {
            top.s_axis_tvalid = 1;
            top.s_axis_tdata = out.front();
            top.s_axis_tlast = out.size() == 1;
        }
        top.m_axis_tready = receiving && !rests();
        top.eval();
        const bool sent = top.s_axis_tvalid && top.s_axis_tready;
        if (top.m_axis_tvalid && top.m_axis_tready) {
            in.push_back(top.m_axis_tdata);
            if (top.m_axis_tlast) receiving = false;
            else if (static_cast<int64_t>(in.size()) == room) {
                overrun = true;
                receiving = false;
            }
        }
        top.aclk = 1;
        top.eval();
        top.aclk = 0;
        top.eval();
        if (sent) {
            out.pop_front();
            top.s_axis_tvalid = 0;
        }
        ++now;
    }
};

Chip &of(void *handle) { return *static_cast<Chip *>(handle); }

}  // namespace

extern "C" void nc_probe_neuron(int, int, int, int, int) {}

extern "C" void *nc_axi_new(uint32_t stall, uint64_t seed) {
    Chip *chip = new Chip;
    chip->stall = stall;
    chip->random ^= seed << 32;
    chip->top.aclk = 0;
    chip->top.aresetn = 0;
    chip->top.s_axis_tkeep = static_cast<uint8_t>(-1) & ((1 << NC_IN_BYTES) - 1);
    chip->top.eval();
    for (int i = 0; i < 16; ++i) chip->tick();
    chip->top.aresetn = 1;
    chip->tick();  // a master begins after the first edge without reset
    return chip;
}

extern "C" void nc_axi_free(void *handle) { delete static_cast<Chip *>(handle); }

extern "C" void nc_axi_run(void *handle, int64_t cycles) {
    for (int64_t i = 0; i < cycles; ++i) of(handle).tick();
}

extern "C" int64_t nc_axi_cycles(void *handle) { return static_cast<int64_t>(of(handle).now); }

extern "C" void nc_axi_send(void *handle, const uint64_t *beats, int64_t n) {
    of(handle).out.insert(of(handle).out.end(), beats, beats + n);
}

// Beats that are not sent yet.
extern "C" int64_t nc_axi_sending(void *handle) {
    return static_cast<int64_t>(of(handle).out.size());
}

// Gives up what is not sent; a beat that is offered stays.
extern "C" void nc_axi_stop(void *handle) {
    Chip &chip = of(handle);
    while (chip.out.size() > (chip.top.s_axis_tvalid ? 1 : 0)) chip.out.pop_back();
    chip.receiving = false;
}

extern "C" void nc_axi_receive(void *handle, int64_t room) {
    Chip &chip = of(handle);
    chip.in.clear();
    chip.room = room;
    chip.receiving = true;
    chip.overrun = false;
}

// 0: a transfer goes on, 1: its packet has come, 2: its packet was too long.
extern "C" int nc_axi_received(void *handle) {
    return of(handle).receiving ? 0 : of(handle).overrun ? 2 : 1;
}

extern "C" int64_t nc_axi_take(void *handle, const uint64_t **beats) {
    *beats = of(handle).in.data();
    return static_cast<int64_t>(of(handle).in.size());
}

// An access; the response, or -1 where none comes.
extern "C" int nc_axi_read(void *handle, uint32_t address, uint32_t *value) {
    Chip &chip = of(handle);
    chip.top.s_axil_arvalid = 1;
    chip.top.s_axil_araddr = address;
    chip.top.s_axil_rready = 1;
    for (int i = 0; i < 100; ++i) {
        chip.top.eval();
        const bool asked = chip.top.s_axil_arvalid && chip.top.s_axil_arready;
        const bool answered = chip.top.s_axil_rvalid;
        const int response = chip.top.s_axil_rresp;
        *value = chip.top.s_axil_rdata;
        chip.tick();
        if (asked) chip.top.s_axil_arvalid = 0;
        if (answered) {
            chip.top.s_axil_rready = 0;
            return response;
        }
    }
    return -1;
}

extern "C" int nc_axi_write(void *handle, uint32_t address, uint32_t value) {
    Chip &chip = of(handle);
    chip.top.s_axil_awvalid = 1;
    chip.top.s_axil_awaddr = address;
    chip.top.s_axil_wvalid = 1;
    chip.top.s_axil_wdata = value;
    chip.top.s_axil_wstrb = 15;
    chip.top.s_axil_bready = 1;
    for (int i = 0; i < 100; ++i) {
        chip.top.eval();
        const bool address_taken = chip.top.s_axil_awvalid && chip.top.s_axil_awready;
        const bool data_taken = chip.top.s_axil_wvalid && chip.top.s_axil_wready;
        const bool answered = chip.top.s_axil_bvalid;
        const int response = chip.top.s_axil_bresp;
        chip.tick();
        if (address_taken) chip.top.s_axil_awvalid = 0;
        if (data_taken) chip.top.s_axil_wvalid = 0;
        if (answered) {
            chip.top.s_axil_bready = 0;
            return response;
        }
    }
    return -1;
}
