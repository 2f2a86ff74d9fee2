// The page's state, and the part of its address behind the # that holds it. It reaches no server.

const LONGEST_FRAGMENT = 8192;

const encode = (value) =>
  encodeURIComponent(value.replace(/\p{Surrogate}/gu, "\ufffd")).replace(
    /[!'()*]/g,
    (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase(),
  );

const randomText = (length, alphabet) => {
  // Bytes beyond the last full round of the alphabet would favour its first characters.
  const most = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length))) {
      if (byte < most && text.length < length) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
};

const newStackName = () => `${DATA.stack}-${randomText(6, "abcdefghijklmnopqrstuvwxyz0123456789")}`;

const kindOf = (id) => DATA.kinds.find((kind) => kind.id === id) ?? DATA.kinds[0];

// All fields of a kind, in the order of the page: what is always asked, then the rest.
const fieldsOf = (kind) => {
  const [first, ...others] = kind.groups;
  return [...first.fields, ...DATA.always, ...others.flatMap((group) => group.fields)];
};

const freshValues = (kind) => {
  const values = new Map(fieldsOf(kind).map((field) => [field.name, field.default ?? ""]));
  values.set("stack", newStackName());
  return values;
};

// The fields with a value other than their own.
const changed = (kind, values) =>
  fieldsOf(kind).filter((field) => values.get(field.name) !== (field.default ?? "") || field.default === null);

const fragmentOf = (state) => {
  const pairs = [["v", DATA.version]];
  if (state.kind !== DATA.kinds[0]) pairs.push(["kind", state.kind.id]);
  for (const field of changed(state.kind, state.values)) pairs.push([field.name, state.values.get(field.name)]);
  return "#" + pairs.filter(([, value]) => value !== "").map(([name, value]) => `${name}=${encode(value)}`).join("&");
};

// Reads what it knows, and tells what it does not: nothing in a link can do more than fill in a field.
const readFragment = (fragment) => {
  const notices = [];
  if (fragment.length > LONGEST_FRAGMENT) {
    notices.push(said("too_long", { most: String(LONGEST_FRAGMENT) }));
    fragment = "";
  }
  const given = new Map();
  for (const [name, value] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    if (!given.has(name)) given.set(name, value);
  }
  const kind = kindOf(given.get("kind"));
  const values = freshValues(kind);
  const unknown = [];
  for (const [name, value] of given) {
    if (name === "v") {
      if (value !== DATA.version) notices.push(said("older", { theirs: value.slice(0, 20), ours: DATA.version }));
    } else if (name === "kind") {
      if (value !== kind.id) unknown.push(`kind=${value}`);
    } else if (values.has(name)) values.set(name, value);
    else unknown.push(name);
  }
  if (unknown.length > 0) {
    const names = unknown.slice(0, 5).map((name) => name.slice(0, 40)).join(", ");
    notices.push(said("unknown", { names: unknown.length > 5 ? `${names}, …` : names }));
  }
  return { kind, values, notices };
};
