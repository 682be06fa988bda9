const SEPARATORS = [" ", ",", "|", ";"];

/**
 * Returns the separator if most of these values are lists of ids rather than one id each, such as `5 7 9`. Every part of
 * such a list has a digit, so that titles do not count as lists.
 */
export function separatorOfIds(values: readonly string[]): string | undefined {
  return SEPARATORS.find((separator) => {
    const lists = values.filter((value) => {
      const parts = value.split(separator);
      return parts.length >= 2 && parts.every((part) => /^[\w-]*\d[\w-]*$/.test(part.trim()));
    });
    return values.length > 0 && lists.length > values.length / 2;
  });
}
