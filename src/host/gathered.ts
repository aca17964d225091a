/** For questions that cost for many nearly what they cost for one: those that come while an answer is out are asked together. */

interface Waiting<Uuid, Found> extends PromiseWithResolvers<readonly Found[]> {
  readonly uuids: readonly Uuid[];
}

/** So many are asked for together. */
const MOST = 256;

/** Every answer was looked for after its question came; a failure is everybody's who was asked for together. */
export function gathered<Uuid, Found extends { readonly uuid: Uuid }>(
  ask: (uuids: readonly Uuid[]) => Promise<readonly Found[]>,
  most = MOST,
): (uuids: readonly Uuid[]) => Promise<readonly Found[]> {
  const waiting: Waiting<Uuid, Found>[] = [];
  let isAsking = false;
  const askAll = async (): Promise<void> => {
    isAsking = true;
    for (let group = takeGroup(waiting, most); group.length > 0; group = takeGroup(waiting, most)) {
      await answerGroup(group, ask);
    }
    isAsking = false;
  };
  return (uuids) => {
    const mine = { ...Promise.withResolvers<readonly Found[]>(), uuids };
    waiting.push(mine);
    if (!isAsking) void askAll();
    return mine.promise;
  };
}

/** As many from the front as go together, one at least. */
function takeGroup<Uuid, Found>(waiting: Waiting<Uuid, Found>[], most: number): Waiting<Uuid, Found>[] {
  let count = 0;
  let size = 0;
  for (const { uuids } of waiting) {
    size += uuids.length;
    if (count > 0 && size > most) break;
    count += 1;
  }
  return waiting.splice(0, count);
}

async function answerGroup<Uuid, Found extends { readonly uuid: Uuid }>(
  group: readonly Waiting<Uuid, Found>[],
  ask: (uuids: readonly Uuid[]) => Promise<readonly Found[]>,
): Promise<void> {
  try {
    const found = await ask([...new Set(group.flatMap(({ uuids }) => uuids))]);
    for (const { uuids, resolve } of group) resolve(found.filter(({ uuid }) => uuids.includes(uuid)));
  } catch (error) {
    for (const { reject } of group) reject(error);
  }
}
