import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { type Turn, TurnWord } from "../../src/control/turn-word.ts";

const TURNS: readonly Turn[] = ["wait", "beside", "alone"];

describe("the word that says whose turn it is to read", () => {
  test("says at first that no engine reads", () => {
    expect(new TurnWord().turn).toBe("alone");
  });

  test.each(TURNS)("says %s in every thread", (turn) => {
    const word = new TurnWord();
    word.turn = turn;
    expect(new TurnWord(word.buffer).turn).toBe(turn);
  });

  test("another thread that takes it leaves it as it is", () => {
    const word = new TurnWord();
    word.turn = "wait";
    const other = new TurnWord(word.buffer);
    expect([other.turn, word.turn]).toEqual(["wait", "wait"]);
  });

  test("the event loop runs while a sweep waits, until it may read", async () => {
    const word = new TurnWord();
    word.turn = "wait";
    let isOver = false;
    const waiting = word.wait({ cancelled: false }).then(() => {
      isOver = true;
    });
    await sleep(50);
    expect(isOver).toBe(false);
    word.turn = "beside";
    await waiting;
  });

  test("a sweep that is cancelled waits no more", async () => {
    const word = new TurnWord();
    word.turn = "wait";
    await word.wait({ cancelled: true });
    const sweep = { cancelled: false };
    const waiting = word.wait(sweep);
    sweep.cancelled = true;
    await waiting;
  });

  test("wakes a thread that blocks", async () => {
    const word = new TurnWord();
    word.turn = "wait";
    const code = `
      const { parentPort, workerData } = require("node:worker_threads");
      parentPort.postMessage("begins");
      Atomics.wait(workerData, 0, 0);
      parentPort.postMessage("ends");`;
    const worker = new Worker(code, { eval: true, workerData: word.buffer });
    const messages: unknown[] = [];
    const ended = new Promise<void>((resolve) => {
      worker.on("message", (message) => {
        messages.push(message);
        if (message === "ends") resolve();
      });
    });
    while (messages.length === 0) await sleep(5);
    await sleep(20);
    word.turn = "alone";
    await ended;
    await worker.terminate();
  });
});
