import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readAclsFile } from "../../src/auth/acls-file.ts";

const directory = mkdtempSync(join(tmpdir(), "holdfast-acls-"));
afterAll(() => rmSync(directory, { recursive: true }));

const file = join(directory, "acls.json");

describe("readAclsFile", () => {
  test("refuses broken JSON with the place", async () => {
    writeFileSync(file, '{"permissive": false,\n "create_volumes": [}');
    await expect(readAclsFile(file)).rejects.toThrow(`Cannot read ACLs ${file}: line 2, column 21: expected a value`);
  });

  test("refuses an action that is given twice, whose first rules would be lost", async () => {
    writeFileSync(file, '{"create_volumes": [],\n "create_volumes": []}');
    await expect(readAclsFile(file)).rejects.toThrow("line 2, column 2: the key appears twice");
  });

  test("refuses what is no ACL, naming the file", async () => {
    writeFileSync(file, '{"permissive": 5}');
    await expect(readAclsFile(file)).rejects.toMatchObject({ code: "invalid", message: expect.stringContaining(file) });
  });

  test("reads Mesos's file", async () => {
    writeFileSync(file, '{"permissive": false}');
    expect(await readAclsFile(file)).toMatchObject({ permissive: false });
  });
});
