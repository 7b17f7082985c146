// @connectrpc/connect-node, with the gRPC protocol, as a transport.
import { readFileSync } from "node:fs";
import { create, toBinary, type DescMethod } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport as ConnectTransport } from "@connectrpc/connect";
import { compressionGzip, createGrpcTransport } from "@connectrpc/connect-node";
import type { Ended, Link, Server, Step, Transport } from "./runner.js";

export class Connect implements Transport {
  private transports = new Map<string, ConnectTransport>();

  private transport(server: Server, step: Step): ConnectTransport {
    const key = `${server.address} ${step.gzip}`;
    if (!this.transports.has(key)) {
      const secure = server.ca ? { nodeOptions: { ca: readFileSync(server.ca) } } : {};
      const packed = step.gzip ? { sendCompression: compressionGzip, compressMinBytes: 0 } : {};
      const baseUrl = `${server.ca ? "https" : "http"}://${server.address}`;
      this.transports.set(key, createGrpcTransport({ baseUrl, ...secure, ...packed }));
    }
    return this.transports.get(key)!;
  }

  async call(server: Server, step: Step, method: DescMethod, link: Link): Promise<Ended> {
    const aborting = new AbortController();
    link.whenCanceled.then(() => aborting.abort());
    const headers = new Headers(link.headers.map(([key, value]): [string, string] =>
      [key, typeof value === "string" ? value : Buffer.from(value).toString("base64").replace(/=+$/, "")]));
    // The path that is called can differ from the method whose messages it takes.
    const [typeName, name] = step.call.split("/");
    const called = { ...method, name, parent: { ...method.parent, typeName } } as any;
    const transport = this.transport(server, step);
    try {
      if (method.methodKind === "unary") {
        const { value } = await link.requests[Symbol.asyncIterator]().next();
        link.onResponse((await transport.unary(called, aborting.signal, link.timeoutMs, headers, value)).message as any);
      } else {
        const { message } = await transport.stream(called, aborting.signal, link.timeoutMs, headers, link.requests as any);
        for await (const response of message) if (link.onResponse(response as any)) aborting.abort();
      }
      return { code: "OK", message: "" };
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      return { code: statusName(error.code), message: error.rawMessage, status: statusBytes(error) };
    }
  }
}

/** gRPC's name of a code: `PermissionDenied` is PERMISSION_DENIED, and `Canceled` has two l. */
function statusName(code: Code): string {
  return code === Code.Canceled ? "CANCELLED" : Code[code].replace(/(?<!^)([A-Z])/g, "_$1").toUpperCase();
}

/** The error's details as the bytes of a google.rpc.Status: repeated Any, field 3. Undefined if it has none. */
function statusBytes(error: ConnectError): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  for (const detail of error.details) {
    if (!("type" in detail)) continue;
    const any = create(AnySchema, { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value as Uint8Array });
    const bytes = toBinary(AnySchema, any);
    const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
    parts.push(Uint8Array.from([26, ...length]), bytes);
  }
  return parts.length > 0 ? Buffer.concat(parts) : undefined;
}
