/** What a column of a table of events can be. */
export type EventRole = "user" | "item" | "time";

/**
 * The names that people give columns, by what they mean, in lower case without anything but letters and digits. A name of
 * an earlier list is taken before one of a later list; two of one list are a question.
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

/** The suffixes of RecBole's atomic files, `user_id:token`. */
const ATOMIC = /:(token|float|token_seq|float_seq)$/;

/** A name without the suffix of an atomic file. */
export function plainName(column: string): string {
  return column.replace(ATOMIC, "");
}

/** Whether a name says that a value of the column is a list. */
export function saysList(column: string): boolean {
  return /:(token|float)_seq$/.test(column) || /(list|seq|sequence|history)$/i.test(plainName(column));
}

function keyOf(column: string): string {
  return plainName(column)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, "");
}

/** Whether people give this name to a column of a user, an item or a time. */
export function looksLikeName(column: string): boolean {
  if (ATOMIC.test(column)) return true;
  const key = keyOf(column);
  return Object.values(NAMES).some((tiers) => tiers.some((names) => names.includes(key)));
}

/** The columns whose names mean this, those of the best list; none where no name does. */
export function columnsNamed(role: EventRole, columns: readonly string[]): string[] {
  for (const names of NAMES[role]) {
    const found = columns.filter((column) => names.includes(keyOf(column)));
    if (found.length > 0) return found;
  }
  return [];
}
