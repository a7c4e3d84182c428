import pg from "pg";
import { Parser } from "pg-protocol/dist/parser.js";

const DATA_ROW = 68;
/** A value cut out of a row's text keeps that text in memory; this is the most it may keep. */
const CUT_MAX_BYTES = 2_048;

/** What `pg` hands on for one row, each value as PostgreSQL wrote it. */
interface RowMessage {
  readonly name: "dataRow";
  readonly length: number;
  readonly fieldCount: number;
  readonly fields: (string | null)[];
}

/** The part of pg's parser that a row goes through; its types keep it private. */
interface PacketParser {
  parse(bytes: Buffer, onMessage: (message: { name: string }) => void): void;
  handlePacket(offset: number, code: number, length: number, bytes: Buffer): { name: string };
}

/**
 * The values of one row, from the two bytes of its column count on. Decoding value by value costs a
 * call out of JavaScript each, a tenth of a list's processor time, so a row of ASCII is decoded
 * once and cut. The four bytes before each value are decoded along with them; as no byte ever
 * becomes more than one UTF-16 unit and no valid sequence of several as many units as bytes, a text
 * as long as its bytes has one unit for each, and its values are ASCII.
 */
function readValues(bytes: Buffer, start: number, end: number): (string | null)[] {
  const columns = bytes.readInt16BE(start);
  const values: (string | null)[] = [];
  const text = end - start <= CUT_MAX_BYTES ? bytes.toString("utf8", start, end) : "";
  const isAscii = text.length === end - start;
  let at = start + 2;
  for (let column = 0; column < columns; column += 1) {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0) {
      values.push(null);
      continue;
    }
    const past = at + length;
    values.push(isAscii ? text.slice(at - start, past - start) : bytes.toString("utf8", at, past));
    at = past;
  }
  return values;
}

/** pg's parser of what the server sends, with quicker rows. */
export function createParser(): PacketParser {
  const parser = new Parser() as unknown as PacketParser;
  const handleOther = parser.handlePacket;
  parser.handlePacket = (offset, code, length, bytes) => {
    if (code !== DATA_ROW) return handleOther.call(parser, offset, code, length, bytes);
    const fields = readValues(bytes, offset, offset + length - 4);
    return { name: "dataRow", length, fieldCount: fields.length, fields } satisfies RowMessage;
  };
  return parser;
}

/** The parts of pg's connection that its types leave out. */
interface ConnectionInside extends NodeJS.EventEmitter {
  attachListeners(stream: NodeJS.ReadableStream): void;
}

/** A client of `pg` that reads rows as above; for pools, whose option `Client` it is. */
export class Client extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const connection = this.connection as unknown as ConnectionInside;
    // pg calls it once there is a stream to read from, in the clear or not.
    connection.attachListeners = (stream) => {
      const parser = createParser();
      const onMessage = (message: { name: string }) => {
        connection.emit(message.name === "error" ? "errorMessage" : message.name, message);
      };
      stream.on("data", (bytes: Buffer) => parser.parse(bytes, onMessage));
    };
  }
}
