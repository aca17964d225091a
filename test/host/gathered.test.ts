import { describe, expect, test } from "vitest";
import { gathered } from "../../src/host/gathered.ts";

interface Question extends PromiseWithResolvers<readonly { readonly uuid: string }[]> {
  readonly uuids: readonly string[];
}

/** What was asked, to be answered by hand. */
function scene(most?: number) {
  const questions: Question[] = [];
  const ask = gathered<string, { readonly uuid: string }>((uuids) => {
    const question = { ...Promise.withResolvers<readonly { readonly uuid: string }[]>(), uuids };
    questions.push(question);
    return question.promise;
  }, most);
  const answer = async (index: number, ...uuids: string[]): Promise<void> => {
    questions[index]?.resolve(uuids.map((uuid) => ({ uuid })));
    await new Promise(setImmediate);
  };
  return { ask, answer, questions, asked: () => questions.map(({ uuids }) => uuids) };
}

describe("gathered", () => {
  test("a failure is everybody's who was asked for together, and nobody else's", async () => {
    const { ask, questions } = scene();
    const first = ask(["a"]);
    const together = [ask(["b"]), ask(["c"])];
    questions[0]?.reject(new Error("broken"));
    await expect(first).rejects.toThrow("broken");
    await new Promise(setImmediate);
    questions[1]?.resolve([]);
    expect(await Promise.all(together)).toEqual([[], []]);
  });

  test("an ask that throws is a failure", async () => {
    const ask = gathered<string, { readonly uuid: string }>(() => {
      throw new Error("broken");
    });
    await expect(ask(["a"])).rejects.toThrow("broken");
    await expect(ask(["a"])).rejects.toThrow("broken");
  });

  test("what comes while an answer is out is asked together behind it, never taken from it", async () => {
    const { ask, answer, asked } = scene();
    const answers = [ask(["a"]), ask(["a", "b"]), ask(["c"])];
    expect(asked()).toEqual([["a"]]);
    await answer(0);
    expect(asked()).toEqual([["a"], ["a", "b", "c"]]);
    await answer(1, "a", "c");
    expect(await Promise.all(answers)).toEqual([[], [{ uuid: "a" }], [{ uuid: "c" }]]);
  });

  test("not more are asked together than may be, and one that is larger is asked alone", async () => {
    const { ask, answer, asked } = scene(2);
    const answers = [ask(["a"]), ask(["b", "c", "d"]), ask(["e"]), ask(["f"]), ask(["g"])];
    for (let index = 0; index < 4; index += 1) await answer(index);
    expect(asked()).toEqual([["a"], ["b", "c", "d"], ["e", "f"], ["g"]]);
    expect(await Promise.all(answers)).toEqual([[], [], [], [], []]);
  });
});
