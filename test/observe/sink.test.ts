import { describe, expect, test, vi } from "vitest";
import { createSink } from "../../src/observe/sink.ts";

/** A descriptor that takes `room` bytes and then is full; `broken` refuses with that code. */
function createReader(room: number) {
  const reader = { room, broken: undefined as string | undefined, text: "", writes: 0 };
  const write = (_fd: number, bytes: Uint8Array): number => {
    reader.writes += 1;
    if (reader.broken !== undefined) throw Object.assign(new Error(reader.broken), { code: reader.broken });
    const taken = Math.min(reader.room, bytes.length);
    if (taken === 0) throw Object.assign(new Error("EAGAIN"), { code: "EAGAIN" });
    reader.room -= taken;
    reader.text += Buffer.from(bytes.subarray(0, taken)).toString();
    return taken;
  };
  return { reader, write };
}

const notice = (dropped: number) => `dropped ${dropped}\n`;
const AMPLE = 1e9;

describe("a sink whose reader takes nothing", () => {
  test("keeps what fits, counts the rest, and tells of it once there is room", () => {
    const { reader, write } = createReader(0);
    const sink = createSink({ fd: 2, notice, bufferBytesMax: 40, write });
    for (const line of ["1", "2", "3", "4", "5", "6"]) sink.write(`line ${line}..\n`);
    expect(sink.dropped).toBe(2);
    reader.room = AMPLE;
    sink.flush();
    sink.write("after\n");
    sink.flush();
    expect(reader.text).toBe("line 1..\nline 2..\nline 3..\nline 4..\ndropped 2\nafter\n");
    expect(sink.dropped).toBe(2);
  });

  test("tries by timer only, however much is pushed", async () => {
    const { reader, write } = createReader(0);
    const sink = createSink({ fd: 2, notice, write });
    for (let line = 0; line < 1000; line += 1) {
      sink.write("warning\n");
      sink.push();
    }
    expect(reader.writes).toBe(1);
    reader.room = AMPLE;
    await vi.waitFor(() => expect(reader.text).toBe("warning\n".repeat(1000)));
  });

  test("is given up by flush after a fifth of a second", () => {
    const { write } = createReader(0);
    const sink = createSink({ fd: 2, notice, write });
    sink.write("line\n");
    const start = performance.now();
    sink.flush();
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe("a sink whose reader is gone", () => {
  test.each(["EPIPE", "ENOSPC"])("loses and counts lines with %s, and never throws or hangs", (code) => {
    const { reader, write } = createReader(AMPLE);
    const sink = createSink({ fd: 2, notice, write });
    reader.broken = code;
    sink.write("1\n");
    sink.write("2\n");
    sink.flush();
    expect(sink.dropped).toBe(2);
    reader.broken = undefined;
    sink.write("3\n");
    sink.flush();
    expect(reader.text).toBe("dropped 2\n3\n");
  });
});

describe("a sink", () => {
  test("cuts no character in two where the reader takes single bytes", () => {
    const { reader, write } = createReader(AMPLE);
    const chunks: Buffer[] = [];
    const sink = createSink({
      fd: 2,
      notice,
      write: (fd, bytes) => {
        chunks.push(Buffer.from(bytes.subarray(0, 1)));
        return write(fd, bytes.subarray(0, 1));
      },
    });
    sink.write("größer\n");
    sink.flush();
    expect(Buffer.concat(chunks).toString()).toBe("größer\n");
    expect(reader.writes).toBe(9);
  });

  test("writes a few lines together after a tenth of a second", async () => {
    const { reader, write } = createReader(AMPLE);
    const sink = createSink({ fd: 2, notice, write });
    sink.write("1\n");
    sink.write("2\n");
    expect(reader.writes).toBe(0);
    await vi.waitFor(() => expect(reader.text).toBe("1\n2\n"));
    expect(reader.writes).toBe(1);
  });

  test("writes a batch at once", () => {
    const { reader, write } = createReader(AMPLE);
    const sink = createSink({ fd: 2, notice, write });
    sink.write("x".repeat(5000));
    expect(reader.text).toHaveLength(5000);
  });
});
