// @grpc/grpc-js as a transport.
import { readFileSync } from "node:fs";
import { fromBinary, toBinary, type DescMethod, type Message } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import type { Ended, Link, Server, Step, Transport } from "./runner.js";

const RETRIES = JSON.stringify({
  methodConfig: [{
    name: [{}],
    retryPolicy: {
      maxAttempts: 5, initialBackoff: "1s", maxBackoff: "5s", backoffMultiplier: 2,
      retryableStatusCodes: ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
    },
  }],
});

export class GrpcJs implements Transport {
  private clients = new Map<string, grpc.Client>();

  private client(server: Server, step: Step): grpc.Client {
    const key = `${server.address} ${step.gzip} ${step.retry}`;
    if (!this.clients.has(key)) {
      const credentials = server.ca ? grpc.credentials.createSsl(readFileSync(server.ca)) : grpc.credentials.createInsecure();
      const options: grpc.ClientOptions = step.retry ? { "grpc.service_config": RETRIES } : { "grpc.enable_retries": 0 };
      if (step.gzip) options["grpc.default_compression_algorithm"] = grpc.compressionAlgorithms.gzip;
      this.clients.set(key, new grpc.Client(server.address, credentials, options));
    }
    return this.clients.get(key)!;
  }

  call(server: Server, step: Step, method: DescMethod, link: Link): Promise<Ended> {
    const metadata = new grpc.Metadata();
    for (const [key, value] of link.headers) metadata.set(key, typeof value === "string" ? value : Buffer.from(value));
    const [path, write, read] = [
      `/${step.call}`,
      (message: Message) => Buffer.from(toBinary(method.input, message)),
      (bytes: Buffer) => fromBinary(method.output, bytes),
    ];
    const options = { deadline: Date.now() + link.timeoutMs };
    const client = this.client(server, step);
    return new Promise(async (resolve) => {
      const end = (status: Partial<grpc.StatusObject>) => resolve({
        code: grpc.status[status.code!], message: status.details ?? "",
        status: status.metadata?.get("grpc-status-details-bin")[0] as Buffer | undefined,
      });
      if (method.methodKind === "unary") {
        const { value } = await link.requests[Symbol.asyncIterator]().next();
        client.makeUnaryRequest(path, write, read, value, metadata, options, (error, response) => {
          if (response) link.onResponse(response);
          end(error ?? { code: grpc.status.OK });
        });
        return;
      }
      const stream = client.makeBidiStreamRequest(path, write, read, metadata, options);
      stream.on("data", (response: Message) => { if (link.onResponse(response)) stream.cancel(); });
      stream.on("error", () => {});
      stream.on("status", end);
      link.whenCanceled.then(() => stream.cancel());
      for await (const request of link.requests) stream.write(request);
      stream.end();
    });
  }
}
