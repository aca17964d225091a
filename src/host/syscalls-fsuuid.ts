/**
 * The UUID of a file system, asked of the kernel: links of udev may be missing, as in a container, or be older than the
 * file system.
 */
import { type IoctlRequest, ioctl, SystemCallError } from "./syscalls.ts";

/** One way of asking: what is sent, and where the UUID is in the answer. */
interface Question {
  readonly request: IoctlRequest;
  readonly sizeBytes: number;
  /** The first four bytes of what is sent. */
  readonly first?: number;
  readonly uuidAt: number;
}

const UUID_BYTES = 16;

/** Since Linux 6.9 one question for all; before, one for each. Another file system refuses them. */
const QUESTIONS: readonly Question[] = [
  { request: { name: "FS_IOC_GETFSUUID", number: 0x8011_1500 }, sizeBytes: 17, uuidAt: 1 },
  { request: { name: "EXT4_IOC_GETFSUUID", number: 0x8008_662c }, sizeBytes: 24, first: UUID_BYTES, uuidAt: 8 },
  { request: { name: "XFS_IOC_FSGEOMETRY_V1", number: 0x8070_5864 }, sizeBytes: 112, uuidAt: 64 },
  { request: { name: "BTRFS_IOC_FS_INFO", number: 0x8400_941f }, sizeBytes: 1024, uuidAt: 16 },
];

/** The UUID, with dashes, of the file system that an open file or directory is on; `undefined` where none is told. */
export function fileSystemUuid(fd: number): string | undefined {
  for (const question of QUESTIONS) {
    const uuid = ask(fd, question);
    if (uuid !== undefined && !uuid.every((byte) => byte === 0)) return textOf(uuid);
  }
  return undefined;
}

function ask(fd: number, { request, sizeBytes, first = 0, uuidAt }: Question): Buffer | undefined {
  const answer = Buffer.alloc(sizeBytes);
  answer.writeUInt32LE(first);
  try {
    ioctl(fd, request, answer);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
  return answer.subarray(uuidAt, uuidAt + UUID_BYTES);
}

function textOf(uuid: Buffer): string {
  return uuid.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
