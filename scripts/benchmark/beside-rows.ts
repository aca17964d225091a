/** Rows beside other ways to the same end: Podman, and system calls that a C program makes with nothing around them. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { compileCalls, runCalls } from "./calls.ts";
import type { Measured } from "./client-worker.ts";
import { attachAndDetach, inTurn, pairs, settle } from "./measuring.ts";
import { Podman } from "./podman.ts";
import { latencies, percentile, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";

/** A process for each: they take much longer than requests. */
const REQUESTS_PER_COMMAND = 5;

/** What is left of create, attach and detach when only the kernel works. */
export async function callsRows(bench: Bench): Promise<Row[]> {
  const { journal, sizes, load, node, dir } = bench;
  await bench.dockerDone();
  const place = path.join(dir, "calls");
  await mkdir(place);
  const program = await compileCalls(place);
  const calls = (rounds: number, ...args: readonly string[]) => runCalls(program, ...args, String(rounds));
  await load.send(node.daemon.socket, node.createOperations(sizes.warmUp));
  await settle(node);

  const create = createBlock(bench);
  const [created, made] = await inTurn(sizes.blocks, create, () => calls(sizes.creates, "create", place));
  const [committed, recorded] = await inTurn(sizes.blocks, create, () => calls(sizes.creates, "record", place));

  const guests = await node.guests(1, sizes.attaches);
  const attach = () => load.send(node.daemon.socket, guests.flatMap(attachAndDetach));
  const mount = ["attach", await node.contentPath(1), path.join(place, "target")] as const;
  await settle(node);
  await attach();
  const [attached, mounted] = await inTurn(sizes.blocks, attach, () => calls(sizes.attaches, ...mount));

  const row = (title: string, ours: readonly number[], name: string, calls: readonly number[]): Row => {
    const beside = { name, figure: percentile(calls, 0.5) };
    return { title, journal, figure: percentile(ours, 0.5), unit: "ms", beside };
  };
  return [
    row("create beside system calls, p50", latencies(created), "in C: 2 directories, a log record", latencies(made)),
    row("create beside a log record, p50", latencies(committed), "in C: pwrite, fdatasync", latencies(recorded)),
    row("attach + detach beside system calls, p50", pairs(attached), "in C: mount, umount", latencies(mounted)),
  ];
}

/** Beside Podman's service by the same client, and beside its command, as people use it who run no service. */
export async function podmanRows(bench: Bench): Promise<Row[]> {
  const { journal, sizes, load, node, dir } = bench;
  await bench.dockerDone();
  const podman = await bench.ending(await Podman.start(path.join(dir, "podman"), path.join(dir, "podman-root")));
  try {
    const create = createBlock(bench);
    const service = (count: number) => () => load.send(podman.door, podman.createRequests(count));
    await service(sizes.warmUp)();
    await load.send(node.daemon.socket, node.createOperations(sizes.warmUp));
    await settle(node);
    const [ours, served] = await inTurn(sizes.blocks, create, service(sizes.creates));
    const commands = Math.ceil(sizes.creates / REQUESTS_PER_COMMAND);
    const run = () => load.run({ commands: podman.createCommands(commands) });
    const [again, ran] = await inTurn(Math.ceil(sizes.blocks / 2), create, run);
    const row = (what: string, own: readonly Measured[], name: string, theirs: readonly Measured[]): Row => {
      const beside = { name, figure: percentile(latencies(theirs), 0.5) };
      const title = `create beside ${what}, p50`;
      return { title, journal, figure: percentile(latencies(own), 0.5), unit: "ms", beside };
    };
    return [
      row("Podman's service", ours, "Podman", served),
      row("Podman's command", again, "podman volume create", ran),
    ];
  } finally {
    await podman.stop();
  }
}

/** One at a time, over the socket. */
function createBlock({ sizes, load, node }: Bench): () => Promise<Measured> {
  return () => load.send(node.daemon.socket, node.createOperations(sizes.creates));
}
