/** Formats numbers for pages and tables of reports. */

/** Four decimals, as metrics have everywhere. */
export function metric(value: number | undefined): string {
  return value === undefined ? "–" : value.toFixed(4);
}

/** A share from 0 to 1 in percent. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** A whole number with separators of thousands. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** A number of things with their noun. */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** A duration. */
export function duration(seconds: number): string {
  if (seconds < 1e-3) return `${(1e6 * seconds).toFixed(1)} µs`;
  if (seconds < 0.1) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}

/** The value of a configuration key. */
export function setting(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
