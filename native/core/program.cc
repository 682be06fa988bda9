#include "native/core/program.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "native/core/error.h"
#include "native/core/json.h"

namespace shortlist {
namespace {

const int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;
const char* const kDtypes[] = {"float32", "int32", "uint32"};
// The version of Programs that is written, and the slots that had other names before; src/graph/program.ts.
const int kVersion = 2;
const struct { const char *before, *now; } kRenamedSlots[] = {{"run_offsets", "sequence_offsets"}};
const char* const kRoles[] = {"parameter", "constant", "optimizer_state", "input", "temporary", "output"};

using Names = std::unordered_map<std::string, int>;

[[noreturn]] void fail(const std::string& message) { throw Error(Status::program, "Program: " + message); }

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

// A JSON value as text, "undefined" if it is missing: what JSON.stringify gives.
std::string shown(const Json* value) { return value != nullptr ? value->format() : "undefined"; }

template <size_t n>
int index_of(const char* const (&names)[n], const Json* value) {
  if (value == nullptr || !value->is_string()) return -1;
  for (size_t i = 0; i < n; ++i) {
    if (value->string() == names[i]) return static_cast<int>(i);
  }
  return -1;
}

[[noreturn]] void fail_dim(const std::string& text) {
  throw Error(Status::program, "Expected a dim such as \"samples\" or \"5*samples+1\" but received \"" + text + "\"");
}

// Parses decimal digits; returns false for anything else and for numbers above 2⁵³ − 1.
bool parse_size(std::string_view digits, int64_t* size) {
  if (digits.empty()) return false;
  int64_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
    if (value > kMaxSafeInteger) return false;
  }
  *size = value;
  return true;
}

bool is_dim_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// Parses the grammar of src/graph/dims.ts: terms "name", "factor*name" or "constant", joined by "+".
Dim parse_dim(const Json& value, const Names& dims, const std::string& tensor) {
  Dim dim;
  if (value.is_number()) {
    if (!value.to_size(&dim.constant)) {
      throw Error(Status::program, "Expected a dim that is a non-negative whole number but received " + value.format());
    }
    return dim;
  }
  if (!value.is_string()) fail_dim(value.format());
  std::map<int, int64_t> factors;
  const std::string_view text = value.string();
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find('+', start), text.size());
    std::string_view name = text.substr(start, end - start);
    start = end + 1;
    int64_t factor = 1;
    if (parse_size(name, &factor)) {
      dim.constant += factor;
      if (dim.constant > kMaxSafeInteger) fail_dim(value.string());
      continue;
    }
    const size_t star = name.find('*');
    if (star != std::string_view::npos) {
      if (!parse_size(name.substr(0, star), &factor)) fail_dim(value.string());
      name = name.substr(star + 1);
    }
    if (!is_dim_name(name)) fail_dim(value.string());
    const auto found = dims.find(std::string(name));
    if (found == dims.end()) fail("tensor " + quoted(tensor) + " has unknown dim " + quoted(std::string(name)));
    int64_t& sum = factors[found->second];
    sum += factor;
    if (sum > kMaxSafeInteger) fail_dim(value.string());
  }
  for (const auto& term : factors) {
    if (term.second != 0) dim.terms.push_back(term);
  }
  return dim;
}

TensorSpec parse_tensor(const Json& value, const Names& dims, const Names& tensors) {
  const Json* name = value.find("name");
  if (name == nullptr || !name->is_string() || name->string().empty()) fail("a tensor without \"name\"");
  TensorSpec spec;
  spec.name = name->string();
  const std::string tensor = "tensor " + quoted(spec.name);
  if (tensors.count(spec.name) != 0) fail(tensor + " is defined twice");
  const int dtype = index_of(kDtypes, value.find("dtype"));
  if (dtype < 0) fail(tensor + " has unknown dtype " + shown(value.find("dtype")));
  spec.dtype = static_cast<Dtype>(dtype);
  const int role = index_of(kRoles, value.find("role"));
  if (role < 0) fail(tensor + " has unknown role " + shown(value.find("role")));
  spec.role = static_cast<Role>(role);
  const Json* shape = value.find("shape");
  if (shape == nullptr || !shape->is_array() || shape->items().size() > 2)
    fail(tensor + " needs a shape of at most 2 axes");
  for (const Json& dim : shape->items()) {
    spec.shape.push_back(parse_dim(dim, dims, spec.name));
    if (stored(spec.role) && !dim.is_number()) fail(tensor + " is stored and needs a shape of numbers");
  }
  return spec;
}

std::vector<Operand> parse_operands(const Json& value, const Names& tensors, const std::string& where,
                                    const char* verb) {
  std::vector<Operand> operands;
  const auto add = [&](Operand* operand, const Json& name) {
    if (!name.is_string()) fail(where + " has a tensor in " + quoted(operand->slot) + " that is no name");
    const auto found = tensors.find(name.string());
    if (found == tensors.end()) fail(where + " " + verb + " undefined tensor " + quoted(name.string()));
    operand->tensors.push_back(found->second);
  };
  for (const Json::Member& member : value.members()) {
    Operand operand{member.first, member.second.is_array(), {}};
    if (operand.list) {
      for (const Json& name : member.second.items()) add(&operand, name);
    } else {
      add(&operand, member.second);
    }
    operands.push_back(std::move(operand));
  }
  return operands;
}

// Gives the input slots of an instruction of version 1 the names that they have now.
void rename_slots(std::vector<Operand>* inputs, const std::string& where) {
  for (const auto& renamed : kRenamedSlots) {
    for (const Operand& operand : *inputs) {
      if (operand.slot == renamed.now)
        fail(where + " has an input " + quoted(renamed.now) + " before version " + std::to_string(kVersion));
    }
    for (Operand& operand : *inputs) {
      if (operand.slot == renamed.before) operand.slot = renamed.now;
    }
  }
}

std::vector<Attribute> parse_attributes(const Json& value, const std::string& where) {
  std::vector<Attribute> attributes;
  for (const Json::Member& member : value.members()) {
    const Json& given = member.second;
    Attribute attribute;
    attribute.name = member.first;
    if (given.is_number()) {
      attribute.kind = Attribute::Kind::number;
      attribute.number = given.number();
    } else if (given.is_boolean()) {
      attribute.kind = Attribute::Kind::flag;
      attribute.flag = given.boolean();
    } else if (given.is_string()) {
      attribute.kind = Attribute::Kind::text;
      attribute.text = given.string();
    } else {
      fail(where + " has attribute " + quoted(member.first) + " that is no number, flag or text");
    }
    attributes.push_back(std::move(attribute));
  }
  return attributes;
}

template <class Visit>
void for_each_tensor(const std::vector<Operand>& operands, const Visit& visit) {
  for (const Operand& operand : operands) {
    for (const int tensor : operand.tensors) visit(tensor);
  }
}

// Parses instruction number `position`. `is_older`: of a Program of an older version, whose slots had other names.
// `written` says of each tensor whether an earlier instruction has written it; the outputs of this one are added.
Instruction parse_instruction(const Json& value, size_t position, bool is_older, const Program& program,
                              const Names& tensors, std::vector<bool>* written) {
  const std::string number = std::to_string(position);
  const Json* op = value.find("op");
  if (op == nullptr || !op->is_string()) fail("instruction " + number + " has no \"op\"");
  const std::string where = "instruction " + number + " (" + op->string() + ")";
  const auto part = [&](const char* name) -> const Json& {
    const Json* member = value.find(name);
    if (member == nullptr || !member->is_object()) fail(where + " has no " + quoted(name));
    return *member;
  };
  const Json &inputs = part("inputs"), &outputs = part("outputs"), &attributes = part("attributes");
  Instruction instruction;
  instruction.number = position;
  instruction.op = op->string();
  instruction.inputs = parse_operands(inputs, tensors, where, "reads");
  if (is_older) rename_slots(&instruction.inputs, where);
  for_each_tensor(instruction.inputs, [&](int tensor) {
    const TensorSpec& spec = program.tensors[tensor];
    const bool produced = spec.role == Role::temporary || spec.role == Role::output;
    if (produced && !(*written)[tensor]) fail(where + " reads " + quoted(spec.name) + " before it is written");
  });
  instruction.outputs = parse_operands(outputs, tensors, where, "writes");
  for_each_tensor(instruction.outputs, [&](int tensor) {
    const TensorSpec& spec = program.tensors[tensor];
    if (spec.role == Role::input || spec.role == Role::constant) {
      fail(where + " writes " + name_of(spec.role) + " " + quoted(spec.name));
    }
    if (!stored(spec.role) && (*written)[tensor]) fail(where + " writes " + quoted(spec.name) + " a second time");
    (*written)[tensor] = true;
  });
  instruction.attributes = parse_attributes(attributes, where);
  return instruction;
}

const Json& array_of(const Json& program, const char* name) {
  const Json* value = program.find(name);
  if (value == nullptr || !value->is_array()) fail("expected arrays \"dims\", \"tensors\" and \"instructions\"");
  return *value;
}

}  // namespace

const char* name_of(Role role) { return kRoles[static_cast<int>(role)]; }
const char* name_of(Dtype dtype) { return kDtypes[static_cast<int>(dtype)]; }

Program parse_program(std::string_view text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Error& error) {
    throw Error(Status::program, std::string("Program: ") + error.what());
  }
  const Json* format = json.find("format");
  if (format == nullptr || !format->is_string() || format->string() != "shortlist-program") {
    fail("expected \"format\": \"shortlist-program\"");
  }
  const Json* version = json.find("version");
  if (version == nullptr || !version->is_number() || (version->number() != 1 && version->number() != kVersion)) {
    fail("expected \"version\": 1 or " + std::to_string(kVersion) + " but received " + shown(version));
  }
  const Json& dims = array_of(json, "dims");
  const Json& tensors = array_of(json, "tensors");
  const Json& instructions = array_of(json, "instructions");

  Program program;
  Names dim_index;
  for (const Json& dim : dims.items()) {
    if (!dim.is_string() || !is_dim_name(dim.string())) fail("expected a dim's name but received " + dim.format());
    if (dim_index.emplace(dim.string(), static_cast<int>(program.dims.size())).second)
      program.dims.push_back(dim.string());
  }
  Names tensor_index;
  for (const Json& tensor : tensors.items()) {
    program.tensors.push_back(parse_tensor(tensor, dim_index, tensor_index));
    tensor_index.emplace(program.tensors.back().name, static_cast<int>(program.tensors.size()) - 1);
  }
  std::vector<bool> written(program.tensors.size());
  for (const Json& value : instructions.items()) {
    const size_t position = program.instructions.size();
    const bool is_older = version->number() < kVersion;
    program.instructions.push_back(parse_instruction(value, position, is_older, program, tensor_index, &written));
  }
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    const TensorSpec& spec = program.tensors[i];
    if (spec.role == Role::output && !written[i]) fail("output " + quoted(spec.name) + " is never written");
  }
  return program;
}

Program select_outputs(const Program& program, const std::vector<std::string>& outputs) {
  const size_t count = program.tensors.size();
  std::vector<bool> wanted(count), needed(count), used(count);
  for (const std::string& name : outputs) {
    const auto spec = std::find_if(program.tensors.begin(), program.tensors.end(), [&](const TensorSpec& tensor) {
      return tensor.name == name && tensor.role == Role::output;
    });
    if (spec == program.tensors.end()) throw Error(Status::program, "Program has no output \"" + name + "\"");
    wanted[spec - program.tensors.begin()] = true;
  }
  needed = wanted;

  std::vector<const Instruction*> kept;
  for (auto instruction = program.instructions.rbegin(); instruction != program.instructions.rend(); ++instruction) {
    bool keep = false;
    for_each_tensor(instruction->outputs,
                    [&](int tensor) { keep = keep || needed[tensor] || stored(program.tensors[tensor].role); });
    if (!keep) continue;
    for_each_tensor(instruction->inputs, [&](int tensor) { needed[tensor] = used[tensor] = true; });
    for_each_tensor(instruction->outputs, [&](int tensor) { used[tensor] = true; });
    kept.push_back(&*instruction);
  }

  Program selected;
  std::vector<bool> dim_used(program.dims.size());
  for (size_t i = 0; i < count; ++i) {
    if (!used[i]) continue;
    for (const Dim& dim : program.tensors[i].shape) {
      for (const auto& term : dim.terms) dim_used[term.first] = true;
    }
  }
  std::vector<int> new_dim(program.dims.size()), new_tensor(count);
  for (size_t i = 0; i < program.dims.size(); ++i) {
    if (!dim_used[i]) continue;
    new_dim[i] = static_cast<int>(selected.dims.size());
    selected.dims.push_back(program.dims[i]);
  }
  for (size_t i = 0; i < count; ++i) {
    if (!used[i]) continue;
    new_tensor[i] = static_cast<int>(selected.tensors.size());
    TensorSpec spec = program.tensors[i];
    if (spec.role == Role::output && !wanted[i]) spec.role = Role::temporary;
    for (Dim& dim : spec.shape) {
      for (auto& term : dim.terms) term.first = new_dim[term.first];
    }
    selected.tensors.push_back(std::move(spec));
  }
  for (auto instruction = kept.rbegin(); instruction != kept.rend(); ++instruction) {
    Instruction copy = **instruction;
    for (std::vector<Operand>* operands : {&copy.inputs, &copy.outputs}) {
      for (Operand& operand : *operands) {
        for (int& tensor : operand.tensors) tensor = new_tensor[tensor];
      }
    }
    selected.instructions.push_back(std::move(copy));
  }
  return selected;
}

int64_t evaluate(const Dim& dim, const std::vector<int64_t>& sizes) {
  int64_t sum = dim.constant;
  for (const auto& term : dim.terms) {
    int64_t product;
    if (__builtin_mul_overflow(term.second, sizes[term.first], &product) ||
        __builtin_add_overflow(sum, product, &sum) || sum > kMaxSafeInteger) {
      throw Error(Status::input, "Expected dims of at most 2^53 - 1 elements");
    }
  }
  return sum;
}

std::string format_shape(const Program& program, const std::vector<Dim>& shape) {
  std::string text;
  for (const Dim& dim : shape) {
    std::string axis;
    for (const auto& term : dim.terms) {
      axis += axis.empty() ? "" : "+";
      axis += (term.second == 1 ? "" : std::to_string(term.second) + "*") + program.dims[term.first];
    }
    if (dim.constant != 0 || axis.empty()) axis += (axis.empty() ? "" : "+") + std::to_string(dim.constant);
    text += (text.empty() ? "" : ", ") + axis;
  }
  return "[" + text + "]";
}

}  // namespace shortlist
