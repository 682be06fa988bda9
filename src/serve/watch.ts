import { stat } from "node:fs/promises";
import { join } from "node:path";

/** The members of model and index folders that change with every training. */
const MEMBERS = ["config.json", "program.json", "model.safetensors", "index.json", "items.usearch"];

/**
 * Watches folders of models and indexes by looking at their files now and then, which works on every file system and through symbolic
 * links. A folder that has changed is reported when it looks the same twice, so that one which is being copied is not
 * opened half-way.
 */
export class FolderWatcher {
  readonly #folders: readonly string[];
  readonly #onChange: (folder: string) => Promise<void>;
  /** What was reported of each folder, and what it looked like last. */
  readonly #reported = new Map<string, string>();
  readonly #seen = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;
  #isLooking = false;

  private constructor(folders: readonly string[], everyMs: number, onChange: (folder: string) => Promise<void>) {
    this.#folders = folders;
    this.#onChange = onChange;
    this.#timer = setInterval(() => void this.#look(), everyMs);
    this.#timer.unref();
  }

  /** Starts to watch folders. `onChange` must not reject. */
  static async start(
    folders: readonly string[],
    everyMs: number,
    onChange: (folder: string) => Promise<void>,
  ): Promise<FolderWatcher> {
    const watcher = new FolderWatcher(folders, everyMs, onChange);
    for (const folder of folders) watcher.#reported.set(folder, await appearanceOf(folder));
    return watcher;
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    for (const folder of this.#folders) {
      const appearance = await appearanceOf(folder);
      const isStable = this.#seen.get(folder) === appearance;
      this.#seen.set(folder, appearance);
      if (!isStable || !this.#reported.has(folder) || this.#reported.get(folder) === appearance) continue;
      this.#reported.set(folder, appearance);
      await this.#onChange(folder);
    }
    this.#isLooking = false;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** What distinguishes the files of a folder from those that were there before. */
async function appearanceOf(folder: string): Promise<string> {
  const files = await Promise.all(
    MEMBERS.map((name) =>
      stat(join(folder, name)).then(
        ({ dev, ino, size, mtimeMs }) => `${dev}:${ino}:${size}:${mtimeMs}`,
        () => "none",
      ),
    ),
  );
  return files.join();
}
