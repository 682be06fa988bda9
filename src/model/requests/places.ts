/** Key of an option that only this project uses: where the users of a call stand in a longer list. */
export const USER_PLACES: unique symbol = Symbol("places of users");

/** Where the users of a call stand in a longer list, for messages and the fields of unknown values. */
export interface PlacedUsers {
  readonly [USER_PLACES]?: readonly number[] | undefined;
}
