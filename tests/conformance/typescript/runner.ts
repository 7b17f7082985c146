// The TypeScript clients of the conformance cases: `tsx runner.ts grpc-js|connect PLAN` prints one line of JSON per case,
// `{"case": NAME, "problems": [...]}`. ../README.md says what a plan holds. Messages come from the descriptors at run time.
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary, fromJson, toJson, type DescMethod, type Message } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { GrpcJs } from "./grpc_js.js";
import { Connect } from "./connect.js";

export type Json = any;
export interface Server { address: string; ca?: string; tokens?: Record<string, string> }
export interface Step {
  call: string; as: string; requests: Json[]; expect: Json; metadata?: Record<string, string>; token?: string;
  deadline_ms?: number; gzip?: boolean; retry?: boolean; cancel_after?: number; half_close?: boolean; lockstep?: boolean;
  open?: boolean; times?: number; until?: boolean; save?: Record<string, string>;
}
/** How a call ended, before its messages are JSON. */
export interface Ended { code: string; message: string; status?: Uint8Array }
/** What a transport can do: send requests, hand each response out, and end. */
export interface Transport {
  call(server: Server, step: Step, method: DescMethod, link: Link): Promise<Ended>;
}
/** Both directions of one call. `requests` ends at half-close; `onResponse` answers whether to cancel. */
export interface Link {
  requests: AsyncIterable<Message>; onResponse(response: Message): boolean; whenCanceled: Promise<void>;
  headers: [string, string | Uint8Array][]; timeoutMs: number;
}

const PATIENCE_MS = 20_000;
const plan = JSON.parse(readFileSync(process.argv[3], "utf8"));
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(plan.contract)));
const transport: Transport = process.argv[2] === "connect" ? new Connect() : new GrpcJs();
const variables: Record<string, string> = { ...plan.variables };
let closers: (() => void)[] = [];

async function call(server: Server, step: Step): Promise<Json> {
  const [service, name] = step.as.split("/");
  const method = registry.getService(service)!.methods.find((each) => each.name === name)!;
  const requests = step.requests.map((each) => fromJson(method.input, each, { registry }));
  const responses: Json[] = [];
  let waiting: (() => void)[] = [];
  let isOver = false;
  let cancel = () => {};
  const whenCanceled = new Promise<void>((resolve) => (cancel = resolve));
  const over = () => { isOver = true; waiting.forEach((wake) => wake()); };
  const until = async (ready: () => boolean) => {
    while (!ready() && !isOver) await new Promise<void>((wake) => waiting.push(wake));
  };
  async function* sent() {
    for (const [index, each] of requests.entries()) {
      if (step.lockstep) await until(() => responses.length >= index);
      yield each;
    }
    if (step.open || step.half_close === false) await until(() => false);
  }
  const ended = transport.call(server, step, method, {
    requests: sent(),
    whenCanceled,
    headers: headers(server, step),
    timeoutMs: step.deadline_ms ?? PATIENCE_MS,
    onResponse(response) {
      responses.push(toJson(method.output, response, { registry }));
      waiting.forEach((wake) => wake());
      waiting = [];
      return responses.length === step.cancel_after;
    },
  });
  if (step.open) {
    closers.push(() => { cancel(); over(); });
    await Promise.race([until(() => responses.length > 0), ended]);
    if (responses.length > 0) return { code: "OK", responses };
  }
  const { code, message, status } = await ended;
  over();
  return { code, message, details: status ? details(status) : {}, responses };
}

function headers(server: Server, step: Step): [string, string | Uint8Array][] {
  const all: [string, string | Uint8Array][] = Object.entries(step.metadata ?? {}).map(
    ([key, value]) => [key, key.endsWith("-bin") ? Buffer.from(value) : value]);
  if (step.token) all.push(["authorization", `Bearer ${server.tokens![step.token]}`]);
  return all;
}

function details(status: Uint8Array): Json {
  const schema = registry.getMessage("google.rpc.Status")!;
  const json: Json = toJson(schema, fromBinary(schema, status), { registry });
  return Object.fromEntries((json.details ?? []).map((each: Json) => [each["@type"].split("/").pop(), each]));
}

async function runStep(server: Server, raw: Step): Promise<string[]> {
  let text = JSON.stringify(raw);
  for (const [name, value] of Object.entries(variables)) text = text.replaceAll("${" + name + "}", value);
  const step: Step = JSON.parse(text);
  let problems: string[] = [];
  let outcome: Json;
  for (let count = 0; count < (step.times ?? 1); count++) {
    outcome = await call(server, step);
    problems = [...differences(step.expect, outcome, "")];
    if (problems.length > 0 !== (step.until ?? false)) break;
  }
  for (const [name, path] of Object.entries(step.save ?? {}))
    variables[name] = path.split(".").reduce((at: Json, part) => at[part], outcome);
  return problems;
}

function* differences(expected: Json, actual: Json, path: string): Generator<string> {
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) {
      yield `${path}: ${expected.length} expected, not ${short(actual)}`;
      return;
    }
    for (const [index, value] of expected.entries()) yield* differences(value, actual[index], `${path}.${index}`);
  } else if (expected !== null && typeof expected === "object") {
    for (const [key, value] of Object.entries(expected)) yield* differences(value, actual?.[key], `${path}.${key}`);
  } else if (!same(expected, actual)) yield `${path}: ${short(expected)} expected, not ${short(actual)}`;
}

function isDefault(value: Json): boolean {
  const empty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
  return value === undefined || value === null || value === 0 || value === "0" || value === false || value === "" || empty;
}

function same(expected: Json, actual: Json): boolean {
  if (expected === "*") return !isDefault(actual);
  if (typeof expected === "string" && expected.startsWith("~")) return String(actual).includes(expected.slice(1));
  return expected === actual || (actual === undefined && isDefault(expected));
}

const short = (value: Json) => (JSON.stringify(value) ?? "nothing").slice(0, 300);

for (const one of plan.cases) {
  let problems: string[] = [];
  try {
    for (const [index, step] of one.steps.entries()) {
      problems = (await runStep(plan.servers[one.server], step)).map((each) => `step ${index + 1}: ${each}`);
      if (problems.length > 0) break;
    }
  } catch (error) {
    problems = [error instanceof Error ? String(error.stack) : String(error)];
  }
  closers.forEach((close) => close());
  closers = [];
  console.log(JSON.stringify({ case: one.name, problems }));
}
process.exit(0); // channels that are open keep the process alive
