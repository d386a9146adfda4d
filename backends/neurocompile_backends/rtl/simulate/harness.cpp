// Runs the design of one network under Verilator: words in, words and neurons out.
//
// Compiled with the model into a shared library; the functions below are its interface (ctypes).
#include <cstdint>

#include "Vnc_top.h"
#include "svdpi.h"
#include "verilated.h"

namespace {

// Where the neurons of a run go: rows of `total` neurons, a row a step.
struct Recording {
    int32_t *u = nullptr;
    int32_t *v = nullptr;
    int32_t *sent = nullptr;
    const int64_t *first = nullptr;  // of each core
    int64_t total = 0;
    int64_t steps = 0;
    int64_t step = -1;
};

thread_local Recording recording;

struct Model {
    VerilatedContext context;
    Vnc_top top{&context};
    void tick() {
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
    }
    void reset(int cycles) {
        top.rst = 1;
        top.host_valid = 0;
        top.out_ready = 0;
        top.eval();
        for (int i = 0; i < cycles; ++i) tick();
        top.rst = 0;
        top.eval();
    }
};

uint64_t next_random(uint64_t &x) {  // xorshift64 (Marsaglia 2003)
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

}  // namespace

extern "C" void nc_probe_neuron(int core, int index, int u, int v, int sent) {
    if (recording.u == nullptr || recording.step < 0 || recording.step >= recording.steps) return;
    const int64_t at = recording.step * recording.total + recording.first[core] + index;
    recording.u[at] = u;
    recording.v[at] = v;
    recording.sent[at] = sent;
}

extern "C" void *nc_new() {
    Model *model = new Model;
    model->top.clk = 0;
    model->reset(4);
    return model;
}

// As long as the links do it (nc_host_link, nc_axis).
extern "C" void nc_reset(void *model) {
    recording.u = nullptr;
    static_cast<Model *>(model)->reset(15);
}

extern "C" void nc_free(void *model) { delete static_cast<Model *>(model); }

// Waits `settle` cycles, in which the sums of the sample before are cleared, so that a run does not
// depend on what was before it. Then sends `words` and waits until all are taken and the last step has ended. Words that come out are
// written as (end, axon, value). `stall_in`, `stall_out`: of 256 cycles, how many the host has
// nothing to send or takes nothing, drawn from `seed` anew for each cycle. Returns how many words
// came out, -1 where `limit` cycles were not enough, -2 where `room` was too small.
extern "C" int64_t nc_run(void *handle, int64_t settle, const uint64_t *words, int64_t n_words, uint32_t stall_in,
                          uint32_t stall_out, uint64_t seed, int64_t limit, int32_t *out,
                          int64_t room, int64_t ends, int32_t *u, int32_t *v, int32_t *sent,
                          const int64_t *first, int64_t total, int64_t steps) {
    Model &model = *static_cast<Model *>(handle);
    Vnc_top &top = model.top;
    recording = Recording{u, v, sent, first, total, steps, -1};
    int64_t at = 0, n_out = 0, ended = 0;
    uint64_t random = seed;
    top.host_valid = 0;
    top.out_ready = 0;
    top.eval();
    for (int64_t cycle = 0; cycle < settle; ++cycle) model.tick();
    for (int64_t cycle = 0; cycle < limit; ++cycle) {
        const uint64_t r = next_random(random);
        const bool offers = at < n_words && (r & 255) >= stall_in;
        top.host_valid = offers;
        top.host_word = at < n_words ? words[at] : 0;
        top.out_ready = ((r >> 8) & 255) >= stall_out;
        top.eval();
        const bool taken = offers && top.host_ready;
        if (top.out_valid && top.out_ready) {
            if (n_out == room) return -2;
            out[3 * n_out] = top.out_end;
            out[3 * n_out + 1] = top.out_axon;
            out[3 * n_out + 2] = top.out_value;
            ++n_out;
            ended += top.out_end;
        }
        if (taken && (words[at] & 7) == 1) ++recording.step;
        at += taken;
        model.tick();
        if (at == n_words && ended == ends) {
            recording.u = nullptr;
            return n_out;
        }
    }
    return -1;
}
