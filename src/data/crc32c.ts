/** The reversed polynomial of CRC-32C (Castagnoli et al. 1993; RFC 3720, appendix B.4). */
const POLYNOMIAL = 0x82f63b78;

/** [256] The remainder of each byte. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? POLYNOMIAL : 0);
  return remainder;
});

/** Returns the checksum CRC-32C of bytes, from 0 to 2³² − 1. (Node's `zlib.crc32` has another polynomial.) */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]!) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}
