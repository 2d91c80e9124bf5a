// The documents' ids, and their fields where they were kept, in packed files of some each.

export class Documents {
  constructor(files, keys, perFile) {
    Object.assign(this, { files, keys, perFile });
    this.parts = new Map();
  }

  static async load(files, { documents }) {
    return new Documents(files, await files.json("ids.json"), documents.per_file);
  }

  /** The fields of a document that are searched, as `[name, text]`; none where none were kept. */
  async fields(number) {
    if (this.perFile === 0) return [];
    const part = Math.floor(number / this.perFile);
    if (!this.parts.has(part)) this.parts.set(part, this.files.packed(`documents/${part}.bin`));
    return (await this.parts.get(part))[number % this.perFile];
  }
}
