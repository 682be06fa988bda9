#include "native/core/program.h"

#include <vector>

#include "test/native/check.h"

using namespace shortlist;

namespace {

std::string program_text(const std::string& tensors, const std::string& instructions,
                         const std::string& dims = "\"samples\",\"tags\"") {
  return "{\"format\":\"shortlist-program\",\"version\":2,\"dims\":[" + dims + "],\"tensors\":[" + tensors +
         "],\"instructions\":[" + instructions + "]}";
}

std::string tensor(const std::string& name, const std::string& role, const std::string& shape = "\"samples\"",
                   const std::string& dtype = "float32") {
  return "{\"name\":\"" + name + "\",\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"role\":\"" + role + "\"}";
}

std::string instruction(const std::string& inputs, const std::string& outputs, const std::string& attributes = "") {
  return "{\"op\":\"f\",\"inputs\":{" + inputs + "},\"outputs\":{" + outputs + "},\"attributes\":{" + attributes + "}}";
}

std::string mistake(const std::string& text) {
  return error_of(Status::program, [&] { parse_program(text); });
}

Dim dim(const std::string& text) {
  return parse_program(program_text(tensor("x", "input", text), "")).tensors[0].shape[0];
}

std::string dim_mistake(const std::string& text) { return mistake(program_text(tensor("x", "input", text), "")); }

void check_dims() {
  const std::vector<int64_t> sizes = {10, 3};
  CHECK(evaluate(dim("\"5*samples+tags+1\""), sizes) == 54);
  CHECK(evaluate(dim("7"), sizes) == 7);
  CHECK(evaluate(dim("\"7\""), sizes) == 7);
  CHECK(dim("\"tags+2+samples+4*samples\"") == dim("\"5*samples+tags+2\""));
  CHECK(dim("\"0*samples+1\"").fixed());
  const std::string form = "Expected a dim such as \"samples\" or \"5*samples+1\" but received ";
  for (const char* text : {"", "samples+", "+1", "samples*5", "5*", "*samples", "5 * samples", "Samples", "-1", "2*3",
                           "99999999999999999999"}) {
    CHECK_TEXT(dim_mistake("\"" + std::string(text) + "\""), form + "\"" + text + "\"");
  }
  CHECK_TEXT(dim_mistake("-1"), "Expected a dim that is a non-negative whole number but received -1");
  CHECK_TEXT(dim_mistake("1.5"), "Expected a dim that is a non-negative whole number but received 1.5");
  CHECK_TEXT(dim_mistake("\"users\""), "Program: tensor \"x\" has unknown dim \"users\"");
  CHECK_TEXT(error_of(Status::input,
                      [&] {
                        evaluate(dim("\"1048576*samples\""), {int64_t{1} << 52, 0});
                      }),
             "Expected dims of at most 2^53 - 1 elements");
}

const std::string x = tensor("x", "input"), y = tensor("y", "temporary"), z = tensor("z", "output"),
                  w = tensor("w", "parameter", "2, 3");
const std::string reads_x = "\"in\":\"x\"", writes_y = "\"out\":\"y\"", reads_y = "\"in\":[\"y\",\"x\"]",
                  writes_z = "\"out\":\"z\"";

void check_parsing() {
  const Program program = parse_program(program_text(
      x + "," + y + "," + z + "," + w, instruction(reads_x, writes_y, "\"n\":1.5,\"on\":true,\"kind\":\"relu\"") + "," +
                                           instruction(reads_y, writes_z)));
  CHECK(program.instructions.size() == 2 && program.instructions[1].inputs[0].list &&
        program.instructions[1].inputs[0].tensors.size() == 2);
  const std::vector<Attribute>& attributes = program.instructions[0].attributes;
  CHECK(attributes[0].number == 1.5 && attributes[1].flag && attributes[2].text == "relu");
  CHECK_TEXT(format_shape(program, program.tensors[3].shape), "[2, 3]");
  CHECK_TEXT(format_shape(program, program.tensors[0].shape), "[samples]");
}

void check_mistakes() {
  CHECK(mistake("{").rfind("Program: JSON: expected", 0) == 0);
  CHECK_TEXT(mistake("{}"), "Program: expected \"format\": \"shortlist-program\"");
  CHECK_TEXT(mistake("{\"format\":\"shortlist-program\",\"version\":3}"),
             "Program: expected \"version\": 1 or 2 but received 3");
  CHECK_TEXT(mistake("{\"format\":\"shortlist-program\",\"version\":2}"),
             "Program: expected arrays \"dims\", \"tensors\" and \"instructions\"");
  {
    const auto text = [](const char* version, const char* slot) {
      return "{\"format\":\"shortlist-program\",\"version\":" + std::string(version) + ",\"dims\":[],\"tensors\":[" +
             tensor("x", "input", "1") + "],\"instructions\":[" +
             instruction("\"" + std::string(slot) + "\":\"x\"", "") + "]}";
    };
    CHECK_TEXT(parse_program(text("1", "run_offsets")).instructions[0].inputs[0].slot, "sequence_offsets");
    CHECK_TEXT(parse_program(text("2", "run_offsets")).instructions[0].inputs[0].slot, "run_offsets");
    CHECK_TEXT(mistake(text("1", "sequence_offsets")),
               "Program: instruction 0 (f) has an input \"sequence_offsets\" before version 2");
  }
  CHECK_TEXT(mistake(program_text("{}", "")), "Program: a tensor without \"name\"");
  CHECK_TEXT(mistake(program_text(x + "," + x, "")), "Program: tensor \"x\" is defined twice");
  CHECK_TEXT(mistake(program_text(tensor("x", "input", "1", "float64"), "")),
             "Program: tensor \"x\" has unknown dtype \"float64\"");
  CHECK_TEXT(mistake(program_text(tensor("x", "intput"), "")), "Program: tensor \"x\" has unknown role \"intput\"");
  CHECK_TEXT(mistake(program_text(tensor("x", "input", "1,1,1"), "")),
             "Program: tensor \"x\" needs a shape of at most 2 axes");
  CHECK_TEXT(mistake(program_text(x, "{}")), "Program: instruction 0 has no \"op\"");
  CHECK_TEXT(mistake(program_text(x, "{\"op\":\"f\"}")), "Program: instruction 0 (f) has no \"inputs\"");
  CHECK_TEXT(mistake(program_text(x, instruction("\"in\":\"q\"", ""))),
             "Program: instruction 0 (f) reads undefined tensor \"q\"");
  CHECK_TEXT(mistake(program_text(x, instruction("\"in\":7", ""))),
             "Program: instruction 0 (f) has a tensor in \"in\" that is no name");
  CHECK_TEXT(mistake(program_text(x + "," + y, instruction("\"in\":\"y\"", ""))),
             "Program: instruction 0 (f) reads \"y\" before it is written");
  CHECK_TEXT(mistake(program_text(x, instruction("", "\"out\":\"x\""))),
             "Program: instruction 0 (f) writes input \"x\"");
  CHECK_TEXT(mistake(program_text(x + "," + y, instruction(reads_x, writes_y) + "," + instruction(reads_x, writes_y))),
             "Program: instruction 1 (f) writes \"y\" a second time");
  CHECK_TEXT(mistake(program_text(x + "," + z, "")), "Program: output \"z\" is never written");
  CHECK_TEXT(mistake(program_text(x + "," + y, instruction(reads_x, writes_y, "\"a\":null"))),
             "Program: instruction 0 (f) has attribute \"a\" that is no number, flag or text");
}

void check_selection() {
  // z needs y and x; `other` needs only v; the update of w is kept.
  const Program whole = parse_program(
      program_text(x + "," + y + "," + z + "," + w + "," + tensor("v", "input", "\"tags\"") + "," +
                       tensor("other", "output", "\"tags\"") + "," + tensor("rate", "input", ""),
                   instruction("\"in\":\"v\"", "\"out\":\"other\"") + "," + instruction(reads_x, writes_y) + "," +
                       instruction(reads_y, writes_z) + "," + instruction("\"in\":\"rate\"", "\"out\":\"w\"")));
  const Program part = select_outputs(whole, {"z"});
  CHECK(part.dims == std::vector<std::string>{"samples"});
  CHECK(part.instructions.size() == 3);
  std::string names;
  for (const TensorSpec& spec : part.tensors) names += spec.name + " ";
  CHECK_TEXT(names, "x y z w rate ");
  CHECK_TEXT(part.tensors[part.instructions[1].inputs[0].tensors[1]].name, "x");
  const Program other = select_outputs(whole, {"other"});
  CHECK(other.dims == std::vector<std::string>{"tags"} && other.tensors[1].shape[0].terms[0].first == 0);
  CHECK_TEXT(error_of(Status::program, [&] { select_outputs(whole, {"y"}); }), "Program has no output \"y\"");
}

}  // namespace

int main() {
  check_dims();
  check_parsing();
  check_mistakes();
  check_selection();
  return failures() > 0;
}
