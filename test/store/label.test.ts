import { describe, expect, it } from "vitest";
import type { Volume } from "../../src/domain/records.ts";
import type { ProjectId } from "../../src/domain/units.ts";
import type { NodeLabel } from "../../src/ports/disk.ts";
import { decodeNodeLabel, decodeVolumeLabel, encodeNodeLabel, encodeVolumeLabel } from "../../src/store/label.ts";
import {
  SAMPLE_HEADER,
  sampleVolume,
  setCopyingVolume,
  setNotedVolume,
  setReservation,
  setSnapshot,
} from "../contract/samples.ts";

const NODE_LABEL: NodeLabel = {
  agentId: SAMPLE_HEADER.agentId,
  reservations: [setReservation().value as NodeLabel["reservations"][number]],
};

describe("a volume's label", () => {
  it("with any changed, missing or added byte is refused", () => {
    const label = encodeVolumeLabel(sampleVolume(1));
    for (let at = 0; at < label.length; at += 1) {
      const changed = Buffer.from(label);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      for (const bytes of [changed, label.subarray(0, at), Buffer.concat([label, label.subarray(at)])]) {
        expect(() => decodeVolumeLabel(bytes)).toThrow(expect.objectContaining({ code: "damaged" }));
      }
    }
  });

  it("of a node is refused as a volume's", () => {
    expect(() => decodeVolumeLabel(encodeNodeLabel(NODE_LABEL))).toThrow("Cannot read the volume's label: holdfast");
  });

  it("of a newer version is refused by its version", () => {
    const text = '{\n  "version": 5\n}\ncrc32 4ac6d989\n';
    expect(() => decodeVolumeLabel(Buffer.from(text))).toThrow(
      "Cannot read the volume's label: it has version 5 and this program knows 4",
    );
  });

  it.each([1, 2])("says everything about volume %i but its first attach", (number) => {
    const { firstAttachedAt: _, ...expected } = sampleVolume(number);
    expect(decodeVolumeLabel(encodeVolumeLabel(sampleVolume(number)))).toEqual(expected);
  });

  it("says what holds it to its size and its marks, and not where it is being adopted from", () => {
    const marks = { projectId: 2_000_007 as ProjectId, protected: true, pinned: true } as const;
    const volume = { ...sampleVolume(2), ...marks };
    expect(decodeVolumeLabel(encodeVolumeLabel({ ...volume, origin: "/srv/db" }))).toEqual(volume);
  });

  it("says what people noted about it, and which app instance it was made for", () => {
    const volume = setNotedVolume().value as Volume;
    expect(decodeVolumeLabel(encodeVolumeLabel(volume))).toEqual(volume);
  });

  it("says of what it is a copy or a snapshot, and not that it is being made", () => {
    for (const { value } of [setSnapshot(), setCopyingVolume()]) {
      const { copying: _, firstAttachedAt: __, ...expected } = value as Volume;
      expect(decodeVolumeLabel(encodeVolumeLabel(value as Volume))).toEqual(expected);
    }
  });

  it("can be read by people", () => {
    const lines = encodeVolumeLabel(sampleVolume(2)).toString().split("\n");
    expect(lines.slice(0, 3)).toEqual(["{", '  "holdfast": "volume",', '  "version": 4,']);
    expect(lines.at(-2)).toMatch(/^crc32 [0-9a-f]{8}$/);
  });

  it("from version 1 can be read for ever", () => {
    const label = [
      "{",
      '  "holdfast": "volume",',
      '  "version": 1,',
      '  "volume": {',
      '    "uuid": "00000000-0000-4000-8000-000000000002",',
      '    "role": "ads",',
      '    "id": "db",',
      '    "size": 1024000,',
      '    "source": { "type": "ROOT" },',
      '    "reservations": [{ "type": "DYNAMIC", "role": "ads" }],',
      '    "containerPath": "data",',
      '    "shared": false,',
      '    "createdBy": "ops",',
      '    "createdAt": 1763817000001,',
      '    "phase": "live",',
      '    "directory": { "ino": "1000002", "birthNs": "0" },',
      '    "revision": 2',
      "  }",
      "}",
      "crc32 e7cde1d5",
      "",
    ].join("\n");
    expect(decodeVolumeLabel(Buffer.from(label))).toMatchObject({ role: "ads", id: "db", revision: 2 });
  });

  it("from version 2 can be read for ever", () => {
    const label = [
      "{",
      '  "holdfast": "volume",',
      '  "version": 2,',
      '  "volume": {',
      '    "uuid": "00000000-0000-4000-8000-000000000002",',
      '    "role": "ads",',
      '    "id": "db",',
      '    "size": 1024000,',
      '    "source": { "type": "ROOT" },',
      '    "reservations": [{ "type": "DYNAMIC", "role": "ads" }],',
      '    "containerPath": "data",',
      '    "shared": false,',
      '    "createdBy": "ops",',
      '    "createdAt": 1763817000001,',
      '    "phase": "retained",',
      '    "directory": { "ino": "1000002", "birthNs": "0" },',
      '    "projectId": 2000001,',
      '    "pinned": true,',
      '    "revision": 2',
      "  }",
      "}",
      "crc32 1b5181ac",
      "",
    ].join("\n");
    expect(decodeVolumeLabel(Buffer.from(label))).toMatchObject({ role: "ads", projectId: 2_000_001, pinned: true });
  });

  it("from version 3 can be read for ever", () => {
    const label = [
      "{",
      '  "holdfast": "volume",',
      '  "version": 3,',
      '  "volume": {',
      '    "uuid": "00000000-0000-4000-8000-000000000002",',
      '    "role": "ads",',
      '    "id": "db",',
      '    "size": 1024000,',
      '    "source": { "type": "ROOT" },',
      '    "reservations": [{ "type": "DYNAMIC", "role": "ads" }],',
      '    "containerPath": "data",',
      '    "shared": false,',
      '    "createdBy": "ops",',
      '    "createdAt": 1763817000001,',
      '    "phase": "live",',
      '    "directory": { "ino": "1000002", "birthNs": "0" },',
      '    "note": { "description": "whose is this?" },',
      '    "app": { "id": "/samson", "instance": "samson.1" },',
      '    "revision": 2',
      "  }",
      "}",
      "crc32 67c6ad34",
      "",
    ].join("\n");
    const app = { id: "/samson", instance: "samson.1" };
    expect(decodeVolumeLabel(Buffer.from(label))).toMatchObject({ note: { description: "whose is this?" }, app });
  });

  it("from version 4 can be read for ever", () => {
    const label = [
      "{",
      '  "holdfast": "volume",',
      '  "version": 4,',
      '  "volume": {',
      '    "uuid": "00000000-0000-4000-8000-000000000002",',
      '    "role": "ads",',
      '    "id": "db",',
      '    "size": 1024000,',
      '    "source": { "type": "ROOT" },',
      '    "reservations": [{ "type": "DYNAMIC", "role": "ads" }],',
      '    "containerPath": "data",',
      '    "shared": false,',
      '    "createdBy": "ops",',
      '    "createdAt": 1763817000001,',
      '    "phase": "live",',
      '    "directory": { "ino": "1000002", "birthNs": "0" },',
      '    "snapshotOf": { "role": "ads", "id": "old", "uuid": "00000000-0000-4000-8000-000000000001", "at": 1763817000000 },',
      '    "revision": 2',
      "  }",
      "}",
      "crc32 9efd40db",
      "",
    ].join("\n");
    expect(decodeVolumeLabel(Buffer.from(label))).toMatchObject({ snapshotOf: { id: "old", at: 1_763_817_000_000 } });
  });
});

describe("a node's label", () => {
  it("gives the agent id and the reservations back", () => {
    expect(decodeNodeLabel(encodeNodeLabel(NODE_LABEL))).toEqual(NODE_LABEL);
  });

  it("of a volume is refused as a node's", () => {
    expect(() => decodeNodeLabel(encodeVolumeLabel(sampleVolume(1)))).toThrow("Cannot read the node's label: holdfast");
  });
});
