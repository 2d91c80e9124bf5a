// Files beside the page: JSON, modules, packed texts, and arrays in the format of safetensors.

const TYPES = {
  F32: Float32Array,
  I32: Int32Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  I8: Int8Array,
};

export class Files {
  /** base: The folder's address, with a slash at its end. */
  constructor(base) {
    this.base = base;
  }

  address(name) {
    return new URL(name, this.base).href;
  }

  async fetch(name) {
    const answer = await fetch(this.address(name));
    if (!answer.ok) throw new Error(`${name} cannot be read: the server says ${answer.status}`);
    return answer;
  }

  async json(name) {
    return (await this.fetch(name)).json();
  }

  async bytes(name) {
    return (await this.fetch(name)).arrayBuffer();
  }

  module(name) {
    return import(this.address(name));
  }

  /** JSON that was packed by zlib. */
  async packed(name) {
    const { body } = await this.fetch(name);
    return new Response(body.pipeThrough(new DecompressionStream("deflate"))).json();
  }

  /** The arrays of a safetensors file by name, laid flat. */
  async arrays(name) {
    const buffer = await this.bytes(name);
    const size = Number(new DataView(buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size)));
    return Object.fromEntries(
      Object.entries(header).map(([key, { dtype, data_offsets: [start, stop] }]) => {
        const Type = TYPES[dtype];
        const length = (stop - start) / Type.BYTES_PER_ELEMENT;
        return [key, new Type(buffer, 8 + size + start, length)];
      }),
    );
  }
}
