/** Reads Mesos's ACL file; what it means is the domain's. */
import { type Acls, parseAcls } from "../domain/acl.ts";
import { readJsonFile } from "./json-file.ts";

/** @throws `invalid` naming the file, the place of a syntax error, and what was expected */
export async function readAclsFile(path: string): Promise<Acls> {
  const { value } = await readJsonFile("ACLs", path);
  return parseAcls(value, `the ACLs ${path}`);
}
