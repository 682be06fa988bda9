/** The roles that a column of a table of events can have. */
export type EventRole = "user" | "item" | "time";

/**
 * Common names of columns for each role, in lower case and reduced to letters and digits. Names in an earlier list take
 * precedence over those in a later one. If several columns have names in the same list, the table is ambiguous.
 */
const NAMES: Readonly<Record<EventRole, readonly (readonly string[])[]>> = {
  user: [
    [
      ...["userid", "user", "uid", "useridx", "userkey", "usernumber", "userno", "userhash", "userpseudoid"],
      ...["customerid", "customer", "clientid", "memberid", "visitorid", "fullvisitorid", "accountid", "profileid"],
      ...["personid", "reviewerid", "playerid", "subscriberid", "readerid", "viewerid", "buyerid", "msno"],
    ],
    ["anonymousid", "deviceid", "cookieid", "playlistid", "basketid", "orderid"],
    ["sessionid", "session", "visitid"],
  ],
  item: [
    [
      ...[
        "itemid",
        "item",
        "iid",
        "itemidx",
        "itemkey",
        "itemno",
        "videoid",
        "video",
        "vid",
        "movieid",
        "movie",
        "mid",
      ],
      ...["productid", "product", "parentasin", "articleid", "article", "songid", "trackid", "trackuri", "artistid"],
      ...["bookid", "isbn", "businessid", "newsid", "contentid", "adid", "listingid", "postid", "gameid", "appid"],
      ...["recipeid", "poiid", "placeid", "venueid", "locationid", "hotelid", "courseid", "jobid", "animeid", "showid"],
      ...["sku", "stockcode", "goodsid", "gmapid", "photoid", "pinid", "tweetid", "storyid", "documentid", "docid"],
    ],
    ["asin", "clickarticleid", "url", "title"],
  ],
  time: [
    [
      ...["timestamp", "ts", "time", "timems", "timestampms", "timestamps", "unixtime", "unixtimestamp", "epoch"],
      ...["eventtime", "eventtimestamp", "clicktimestamp", "clicktime", "datetime", "createdat", "createdtime"],
      ...[
        "occurredat",
        "clickedat",
        "watchedat",
        "viewedat",
        "playedat",
        "ratedat",
        "unixreviewtime",
        "interactiontime",
      ],
    ],
    ["date", "day", "dt", "reviewtime", "eventdate"],
  ],
};

/** Common names of columns of searches, in the same form. */
const SEARCHES = [
  ...["query", "querytext", "search", "searchquery", "searchtext", "searchterm", "searchterms", "searchstring"],
  ...["searchphrase", "searchword", "searchkeyword", "keyword", "keywords", "phrase", "terms", "q", "text"],
];

/** The suffixes of RecBole's atomic files, as in `user_id:token`. */
const ATOMIC = /:(token|float|token_seq|float_seq)$/;

/** Returns a name without the suffix of an atomic file. */
export function plainName(column: string): string {
  return column.replace(ATOMIC, "");
}

/** Whether a column's name says that its values are lists. */
export function saysList(column: string): boolean {
  return /:(token|float)_seq$/.test(column) || /(list|seq|sequence|history)$/i.test(plainName(column));
}

function keyOf(column: string): string {
  return plainName(column)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, "");
}

/** Whether this is a common name of a column of users, items or times. */
export function looksLikeName(column: string): boolean {
  if (ATOMIC.test(column)) return true;
  const key = keyOf(column);
  return Object.values(NAMES).some((tiers) => tiers.some((names) => names.includes(key)));
}

/** Returns the columns whose names mean the texts of searches. */
export function searchColumnsNamed(columns: readonly string[]): string[] {
  return columns.filter((column) => SEARCHES.includes(keyOf(column)));
}

/**
 * Returns the columns whose names mean this role, taken from the first list that matches any; none if no name matches.
 */
export function columnsNamed(role: EventRole, columns: readonly string[]): string[] {
  for (const names of NAMES[role]) {
    const found = columns.filter((column) => names.includes(keyOf(column)));
    if (found.length > 0) return found;
  }
  return [];
}
