/** Which of many waiting parties goes when there is no room for all. PURE. */

/**
 * Finds the oldest member of the address that weighs most, so that an address which takes too much is in its own way only.
 * Among members of one address it is the oldest of all.
 * @param members from the oldest to the newest.
 * @param weigh 1 for each, unless given.
 * @returns undefined where there are no members.
 */
export function findOldestOfHeaviest<T>(
  members: Iterable<T>,
  readAddress: (member: T) => string | undefined,
  weigh: (member: T) => number = () => 1,
): T | undefined {
  const groups = new Map<string | undefined, { readonly oldest: T; weight: number }>();
  let heaviest: { readonly oldest: T; weight: number } | undefined;
  for (const member of members) {
    const address = readAddress(member);
    const group = groups.get(address) ?? { oldest: member, weight: 0 };
    groups.set(address, group);
    group.weight += weigh(member);
    if (heaviest === undefined || group.weight > heaviest.weight) heaviest = group;
  }
  return heaviest?.oldest;
}
