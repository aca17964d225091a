/**
 * Makes the kernel, for this thread and all that it starts, as one before 6.8 is, or as a system call filter leaves it:
 * mounts are known by their tables alone. It cannot be taken back: only for a test file, which has a process of its own.
 */
import koffi from "koffi";

const PRCTL = { SET_SECCOMP: 22, MODE_FILTER: 2 } as const;
const BPF = { LOAD: 0x20, JUMP_IF_EQUAL: 0x15, RETURN: 0x06 } as const;
const ANSWER = { ALLOW: 0x7fff_0000, ENOSYS: 0x0005_0026, ENOTTY: 0x0005_0019 } as const;
/** Where `struct seccomp_data` has the call's number and the low half of its second argument. */
const AT = { NUMBER: 0, REQUEST: 24 } as const;
const IOCTL = process.arch === "arm64" ? 29 : 16;
const CALLS = { STATMOUNT: 457, LISTMOUNT: 458 } as const;
const NS_MNT = { GET_INFO: 0x8010_b70a, GET_NEXT: 0x8010_b70b, GET_PREV: 0x8010_b70c } as const;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

const PROGRAM: readonly Instruction[] = [
  [BPF.LOAD, 0, 0, AT.NUMBER],
  [BPF.JUMP_IF_EQUAL, 6, 0, CALLS.STATMOUNT],
  [BPF.JUMP_IF_EQUAL, 5, 0, CALLS.LISTMOUNT],
  [BPF.JUMP_IF_EQUAL, 0, 5, IOCTL],
  [BPF.LOAD, 0, 0, AT.REQUEST],
  [BPF.JUMP_IF_EQUAL, 4, 0, NS_MNT.GET_INFO],
  [BPF.JUMP_IF_EQUAL, 3, 0, NS_MNT.GET_NEXT],
  [BPF.JUMP_IF_EQUAL, 2, 1, NS_MNT.GET_PREV],
  [BPF.RETURN, 0, 0, ANSWER.ENOSYS],
  [BPF.RETURN, 0, 0, ANSWER.ALLOW],
  [BPF.RETURN, 0, 0, ANSWER.ENOTTY],
];

export function becomeOlderKernel(): void {
  const code = Buffer.alloc(PROGRAM.length * 8);
  for (const [index, [operation, ifTrue, ifFalse, operand]] of PROGRAM.entries()) {
    code.writeUInt16LE(operation, index * 8);
    code.writeUInt8(ifTrue, index * 8 + 2);
    code.writeUInt8(ifFalse, index * 8 + 3);
    code.writeUInt32LE(operand, index * 8 + 4);
  }
  const program = Buffer.alloc(16);
  program.writeUInt16LE(PROGRAM.length, 0);
  program.writeBigUInt64LE(koffi.address(code), 8);
  const prctl = koffi.load(null).func("prctl", "int", ["int", "unsigned long", "void *"]);
  if (prctl(PRCTL.SET_SECCOMP, PRCTL.MODE_FILTER, program) !== 0) throw new Error(`prctl: errno ${koffi.errno()}`);
}
