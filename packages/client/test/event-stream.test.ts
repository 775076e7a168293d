import { expect, test } from "vitest";
import { seeded } from "../../../web/harness/random.ts";
import { EventParser } from "../src/event-stream.ts";

const stream =
  ":\n\n" +
  'id: c1\nevent: next\ndata: {"data":1}\n\n' +
  ":\n\n" +
  "event: next\r\ndata: one\r\ndata: two\r\n\r\n" +
  "id: end\nevent: complete\ndata:\n\n" +
  "event: empty\n\n" +
  "data: unfinished\n";

const events = [
  { id: "c1", event: "next", data: '{"data":1}' },
  { id: undefined, event: "next", data: "one\ntwo" },
  { id: "end", event: "complete", data: "" },
];

test("the events of a stream that arrives at once", () => {
  expect(new EventParser().push(stream)).toEqual(events);
});

test.each([1, 2, 3, 4, 5])("the same events from chunks of any size, seed %i", (seed) => {
  const random = seeded(seed);
  const parser = new EventParser();
  const found = [];
  for (let at = 0; at < stream.length;) {
    const length = 1 + Math.floor(random() * 7);
    found.push(...parser.push(stream.slice(at, at + length)));
    at += length;
  }
  expect(found).toEqual(events);
});
