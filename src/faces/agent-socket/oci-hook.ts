/**
 * A container's wish for volumes, as its OCI runtime tells it: the state that a hook gets on its standard input, and the
 * bundle's configuration, which has the root, the user and, in annotations, the volumes or the app. Only what is used is looked at,
 * and that strictly.
 *
 * Volumes are mounted by `createRuntime` (or its deprecated twin `prestart`), the one moment at which the container's
 * mount namespace is there and its first process not yet running.
 */
import { z } from "zod";
import { HoldfastError } from "../../domain/error.ts";
import { parseContainerId } from "../../domain/names.ts";
import { show } from "../../domain/refusal.ts";
import type { ContainerId } from "../../domain/units.ts";
import type { AttachRequest } from "../../engine/engine.ts";
import { parseJson } from "../http/json.ts";
import { parseWith, text } from "../http/schema.ts";
import { ownerId, processId } from "./container-routes.ts";
import { parseApp, parseSandbox, parseVolumeList, VOLUME_LIST } from "./volume-list.ts";

const VOLUMES = "io.holdfast.volumes";
const SANDBOX = "io.holdfast.sandbox";
const APP = "io.holdfast.app";

const MOUNTING_STAGES: ReadonlySet<string> = new Set(["createRuntime", "prestart"]);

const annotations = z.record(z.string(), z.unknown()).nullish();
const absolutePath = text
  .startsWith("/", "expected an absolute path")
  .refine((path) => !path.includes("\0"), "expected no NUL");

const STATE = z.looseObject({
  id: z.unknown().optional(),
  pid: z.unknown().optional(),
  bundle: z.unknown().optional(),
  annotations,
});

const BUNDLE = z.looseObject({ bundle: absolutePath });

const CONFIG = z.looseObject({
  annotations,
  root: z.looseObject({ path: text.min(1).refine((path) => !path.includes("\0"), "expected no NUL") }),
  process: z.looseObject({ user: z.looseObject({ uid: ownerId, gid: ownerId }).nullish() }).nullish(),
});

type State = z.output<typeof STATE>;

/** What an OCI runtime told about a container that wants volumes. */
export interface HookedContainer {
  readonly container: ContainerId;
  readonly pid: number;
  readonly bundle: string;
  /** Ours of the state's annotations, for a configuration that has none. */
  readonly annotations: Annotations;
}

interface Annotations {
  readonly volumes?: string;
  readonly app?: string;
  readonly sandbox?: string;
}

/**
 * The state of a container.
 * @returns `undefined` when the container wants nothing of us, however wrong the rest of it is
 * @throws `invalid` a stage at which nothing can be mounted, or a state that is not one
 */
export function parseHook(stage: string, body: unknown): HookedContainer | undefined {
  const state = parseWith(STATE, body, "the state");
  const wanted = annotationsOf(state, "the state");
  if (wanted.volumes === undefined && wanted.app === undefined) return undefined;
  if (!MOUNTING_STAGES.has(stage)) {
    throw new HoldfastError("invalid", `Cannot attach volumes at the hook ${show(stage)}: use createRuntime`);
  }
  return {
    container: parseContainerId(state.id, "the state: id"),
    pid: parsePid(state, stage),
    bundle: parseWith(BUNDLE, state, "the state").bundle,
    annotations: wanted,
  };
}

function parsePid({ pid }: State, stage: string): number {
  if (pid === undefined || pid === 0) {
    throw new HoldfastError(
      "invalid",
      `Cannot attach volumes at the hook ${stage}: its state has no pid, use createRuntime of a runtime that gives one`,
    );
  }
  return parseWith(processId, pid, "the state: pid");
}

/**
 * What shall be attached.
 * @param config the bundle's `config.json`; its annotations win over the state's
 * @returns `undefined` when the list of volumes is empty, and no app is named
 * @throws `invalid`
 */
export function parseWish(
  { container, bundle, annotations: told }: HookedContainer,
  config: string,
):
  | (Pick<AttachRequest, "container" | "sandbox" | "app" | "volumes" | "owner"> & { readonly rootfs: string })
  | undefined {
  const what = `${bundle}/config.json`;
  const { root, process, ...rest } = parseWith(CONFIG, parseJson(config, what), what);
  const written = annotationsOf(rest, what);
  const wanted = written.volumes === undefined && written.app === undefined ? told : written;
  const volumes = parseVolumes(wanted.volumes);
  if (volumes.length === 0 && wanted.app === undefined) return undefined;
  const user = process?.user ?? undefined;
  return {
    container,
    sandbox: parseSandbox(wanted.sandbox ?? "/", `annotation ${SANDBOX}`),
    ...(wanted.app === undefined ? {} : { app: parseApp(wanted.app, `annotation ${APP}`) }),
    volumes,
    ...(user === undefined ? {} : { owner: Object.freeze({ uid: user.uid, gid: user.gid }) }),
    // As it is written: runtimes do not agree on what a ".." in it means.
    rootfs: root.path.startsWith("/") ? root.path : `${bundle}/${root.path}`,
  };
}

function parseVolumes(annotation = "[]"): AttachRequest["volumes"] {
  const what = `annotation ${VOLUMES}`;
  return parseVolumeList(parseWith(VOLUME_LIST, parseJson(annotation, what), what), what);
}

/** Only ours: the others are none of our business. */
function annotationsOf({ annotations: all }: Pick<State, "annotations">, what: string): Annotations {
  const one = (key: string): string | undefined => {
    const value = all !== null && all !== undefined && Object.hasOwn(all, key) ? all[key] : undefined;
    return value === undefined ? undefined : parseWith(text, value, `${what}: annotation ${key}`);
  };
  const [volumes, app, sandbox] = [one(VOLUMES), one(APP), one(SANDBOX)];
  return {
    ...(volumes === undefined ? {} : { volumes }),
    ...(app === undefined ? {} : { app }),
    ...(sandbox === undefined ? {} : { sandbox }),
  };
}
