/*
 * What a page of reports shows, as plain data: TypeScript decides and formats it, and the script of the page
 * (src/report/page) makes elements of it. Texts may come from users; the page never reads them as HTML.
 */

/** A page. */
export interface ReportPage {
  readonly title: string;
  /** A line below the title. */
  readonly subtitle: string;
  readonly sections: readonly Section[];
}

/** A part of a page with a heading. */
export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

export type Block = Tiles | Chart | Table | Bars | Intervals | Cards | Note;

/** A row of important numbers. */
export interface Tiles {
  readonly kind: "tiles";
  readonly tiles: readonly { readonly label: string; readonly value: string; readonly note?: string }[];
}

/** Lines over a common x axis. */
export interface Chart {
  readonly kind: "chart";
  readonly title: string;
  /** What the lines show, in a sentence, for those who cannot see them. */
  readonly summary: string;
  readonly x: { readonly label: string; readonly values: readonly number[] };
  readonly lines: readonly {
    readonly label: string;
    /** null where there is no value. */
    readonly values: readonly (number | null)[];
    /** Baselines are dashed and grey. */
    readonly isBaseline?: boolean;
  }[];
  /** Positions on the x axis that are marked, such as the kept epoch. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
  /** Whether half of a row is enough on a wide screen. */
  readonly isHalf?: boolean;
  /** Whether points are drawn, since there are few. */
  readonly hasPoints?: boolean;
}

/** A table. The first column has names, the others numbers. */
export interface Table {
  readonly kind: "table";
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Whether the table is closed at first, since it is long. */
  readonly isClosed?: boolean;
  /** Whether half of a row is enough on a wide screen. */
  readonly isHalf?: boolean;
  /** Whether all columns have texts. */
  readonly isText?: boolean;
}

/** Horizontal bars. */
export interface Bars {
  readonly kind: "bars";
  readonly caption: string;
  /** Names of the values of each row, if there are two. */
  readonly names?: readonly [string, string];
  readonly rows: readonly {
    readonly label: string;
    /** One or two values from 0 to 1: the lengths of the bars. */
    readonly shares: readonly number[];
    /** The values for people to read. */
    readonly text: string;
  }[];
}

/** Estimates with their intervals, on a common scale. */
export interface Intervals {
  readonly kind: "intervals";
  readonly caption: string;
  readonly rows: readonly {
    readonly label: string;
    readonly low: number;
    readonly mean: number;
    readonly high: number;
    /** The numbers for people to read. */
    readonly text: string;
  }[];
  /** Whether zero is marked, since the estimates are differences. */
  readonly hasZero?: boolean;
}

/** Lists side by side. */
export interface Cards {
  readonly kind: "cards";
  readonly cards: readonly {
    readonly title: string;
    readonly note: string;
    readonly rows: readonly { readonly text: string; readonly value: string }[];
  }[];
}

/** A sentence. */
export interface Note {
  readonly kind: "note";
  readonly text: string;
}
