#include "native/data/prefetch.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "native/core/error.h"

namespace shortlist {
namespace {

// Batches ahead: enough small ones that a thread which is kept from running for some milliseconds is not missed.
const int64_t kMinAhead = 3, kMaxAhead = 32, kSamplesAhead = 1024;
const float kZero = 0;

}  // namespace

struct Prefetch::Impl {
  struct Place {
    int64_t epoch, index;
  };
  // A step, or what kept it from being built.
  struct Outcome {
    std::unique_ptr<Step> step;
    Status status = Status::ok;
    std::string message;
  };

  std::shared_ptr<Batcher> batcher;
  std::shared_ptr<const Executor> executor;
  Batch layout, batch;  // `batch` is the thread's own
  std::vector<int> sources;
  std::vector<int> dims;  // of each of the Program's dims, the index into Batch::dims or −1
  size_t ahead = 0;

  std::thread thread;
  std::mutex mutex;  // of all below
  std::condition_variable filled, emptied;
  bool stop = false;
  Place first{-1, -1};  // of the first of `ready`, or what is built next where there is none
  Place next{-1, -1};   // what is built next
  int64_t turns = 0;    // rises when what is being built is not wanted any more
  std::deque<Outcome> ready;
  std::vector<std::unique_ptr<Step>> spare;

  Place after(Place place) const {
    return place.index + 1 < batcher->batches_per_epoch() ? Place{place.epoch, place.index + 1}
                                                          : Place{place.epoch + 1, 0};
  }

  void work() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      // Once full it sleeps until half of them are taken, so that it is not woken for every step.
      if (ready.size() >= ahead) emptied.wait(lock, [&] { return stop || ready.size() <= ahead / 2; });
      if (stop) return;
      const Place place = next;
      const int64_t turn = turns;
      next = after(place);
      Outcome outcome;
      if (!spare.empty()) {
        outcome.step = std::move(spare.back());
        spare.pop_back();
      }
      lock.unlock();
      build(place, &outcome);
      lock.lock();
      if (turn != turns) {
        if (outcome.step) spare.push_back(std::move(outcome.step));
        continue;
      }
      ready.push_back(std::move(outcome));
      filled.notify_one();
    }
  }

  void build(Place place, Outcome* outcome) {
    try {
      batcher->build(place.epoch, place.index, &batch);
      const Plan& plan = executor->plan();
      std::vector<InputArray> inputs;
      for (size_t i = 0; i < sources.size(); ++i) {
        const TensorSpec& spec = plan.program().tensors[plan.inputs()[i]];
        if (sources[i] >= 0) {
          const Batch::Input& input = batch.inputs[sources[i]];
          inputs.push_back({input.elements.data(), input.elements.size(), input.dtype, true});
        } else if (spec.shape.empty()) {
          inputs.push_back({&kZero, 1, spec.dtype, true});
        } else {
          inputs.emplace_back();
        }
      }
      std::vector<int64_t> sizes;
      for (const int dim : dims) sizes.push_back(dim >= 0 ? batch.dims[dim].size : -1);
      if (!outcome->step) outcome->step = std::make_unique<Step>();
      outcome->step->inputs = executor->prepare(sizes, inputs, std::move(outcome->step->inputs));
      outcome->step->dims.clear();
      for (const Batch::Dim& dim : batch.dims) outcome->step->dims.push_back(dim.size);
    } catch (const Error& error) {
      outcome->status = error.status();
      outcome->message = error.what();
    } catch (const std::exception& error) {
      outcome->status = Status::executor;
      outcome->message = error.what();
    }
  }
};

Prefetch::Prefetch(std::shared_ptr<Batcher> batcher, std::shared_ptr<const Executor> executor) : impl_(new Impl) {
  impl_->batcher = std::move(batcher);
  impl_->executor = std::move(executor);
  impl_->layout = impl_->batcher->layout();
  impl_->batch = impl_->batcher->layout();
  const int64_t ahead = kSamplesAhead / impl_->batcher->share_size();
  impl_->ahead = static_cast<size_t>(std::max(kMinAhead, std::min(kMaxAhead, ahead)));
  const Plan& plan = impl_->executor->plan();
  const Program& program = plan.program();
  const auto find = [](const auto& named, const std::string& name) {
    const auto found =
        std::find_if(named.begin(), named.end(), [&](const auto& member) { return member.name == name; });
    return found == named.end() ? -1 : static_cast<int>(found - named.begin());
  };
  for (const int tensor : plan.inputs())
    impl_->sources.push_back(find(impl_->layout.inputs, program.tensors[tensor].name));
  for (const std::string& dim : program.dims) impl_->dims.push_back(find(impl_->layout.dims, dim));
}

Prefetch::~Prefetch() {
  {
    const std::lock_guard<std::mutex> lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->emptied.notify_one();
  if (impl_->thread.joinable()) impl_->thread.join();
}

const Batcher& Prefetch::batcher() const { return *impl_->batcher; }
const std::vector<int>& Prefetch::sources() const { return impl_->sources; }
const Batch& Prefetch::layout() const { return impl_->layout; }

std::unique_ptr<Prefetch::Step> Prefetch::take(int64_t epoch, int64_t index) {
  Impl& impl = *impl_;
  std::unique_lock<std::mutex> lock(impl.mutex);
  if (impl.first.epoch != epoch || impl.first.index != index) {
    ++impl.turns;
    for (Impl::Outcome& outcome : impl.ready) {
      if (outcome.step) impl.spare.push_back(std::move(outcome.step));
    }
    impl.ready.clear();
    impl.first = impl.next = {epoch, index};
    impl.emptied.notify_one();
  }
  if (!impl.thread.joinable()) {
    try {
      impl.thread = std::thread([&impl] { impl.work(); });
    } catch (const std::system_error&) {
      throw Error(Status::executor, "Expected a thread that builds batches but the system starts no more");
    }
  }
  impl.filled.wait(lock, [&] { return !impl.ready.empty(); });
  Impl::Outcome outcome = std::move(impl.ready.front());
  impl.ready.pop_front();
  impl.first = impl.after(impl.first);
  const bool wake = impl.ready.size() == impl.ahead / 2;
  lock.unlock();
  if (wake) impl.emptied.notify_one();
  if (outcome.status != Status::ok) throw Error(outcome.status, outcome.message);
  return std::move(outcome.step);
}

void Prefetch::recycle(std::unique_ptr<Step> step) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  impl_->spare.push_back(std::move(step));
}

}  // namespace shortlist
