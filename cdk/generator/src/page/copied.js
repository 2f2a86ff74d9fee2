// Reads bucket names and prefixes that were copied together with something else, as the function does
// (functions/access/src/copied.rs), and says what to give instead.

const tidied = (text) => text.replace(/^[\/\p{White_Space}]+|[\/\p{White_Space}]+$/gu, "");

const split = (text, at) => {
  const index = text.indexOf(at);
  return index < 0 ? [text, ""] : [text.slice(0, index), text.slice(index + at.length)];
};

const bucketField = () => DATA.kinds[0].groups.flatMap((group) => group.fields).find((field) => field.name === "BucketName");

const isBucket = (text) =>
  matches(`^(?:${bucketField().pattern})$`, text) && !bucketField().refusals.some(([pattern]) => matches(pattern, text));

const isFolder = (text) => text !== "" && new TextEncoder().encode(text).length <= 1024 && !/[*?\p{Cc}]|\$\{/u.test(text);

const folderOf = (path) => (isFolder(tidied(path)) ? tidied(path) : undefined);

const bucketAndFolder = (place) => {
  const [bucket, folder] = split(place, "/");
  return isBucket(bucket) ? { bucket, folder: folderOf(folder) } : {};
};

const ofWebAddress = (address) => {
  const isEscaped = (text) => /[%+]/.test(text);
  const [place, query] = split(address, "?");
  const [host, whole] = split(place, "/");
  const path = isEscaped(whole) ? "" : whole;
  if (host.endsWith("console.aws.amazon.com")) {
    const page = ["s3/buckets/", "s3/object/"].find((start) => path.startsWith(start));
    const prefix = query.split("&").find((part) => part.startsWith("prefix="))?.slice("prefix=".length) ?? "";
    const { bucket } = bucketAndFolder(page === undefined ? "" : path.slice(page.length));
    return { bucket, folder: isEscaped(prefix) ? undefined : folderOf(prefix) };
  }
  if (!host.endsWith(".amazonaws.com")) return {};
  const labels = host.slice(0, -".amazonaws.com".length);
  if (labels === "s3" || /^s3[.-]/.test(labels)) return bucketAndFolder(path);
  const ends = [labels.indexOf(".s3."), labels.indexOf(".s3-"), labels.endsWith(".s3") ? labels.length - 3 : -1];
  const end = ends.find((at) => at >= 0);
  return end === undefined ? {} : { ...bucketAndFolder(labels.slice(0, end)), folder: folderOf(path) };
};

// The bucket and folder of an address of any scheme, or of an ARN; undefined for any other text.
const partsOf = (text) => {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/su.exec(text);
  if (match === null) return undefined;
  const [scheme, rest] = [match[1].toLowerCase(), match[2]];
  if (scheme === "arn") {
    const [, service, , , ...resource] = rest.split(":");
    return service === "s3" && resource.length > 0 ? bucketAndFolder(resource.join(":")) : {};
  }
  if (!rest.startsWith("//") && !(["s3", "s3a", "s3n"].includes(scheme) && rest.startsWith("/"))) return undefined;
  const place = rest.replace(/^\/+/, "");
  if (scheme === "file") return {};
  return ["http", "https"].includes(scheme) ? ofWebAddress(place) : bucketAndFolder(place);
};

const copiedSentence = (name, parts) =>
  sentence(DATA.copied[name].replace("{bucket}", () => parts.bucket).replace("{folder}", () => parts.folder));

// What to give in place of a bucket that was copied with something else; undefined for any other text.
const insteadOfBucket = (text) => {
  const tidy = tidied(text);
  let parts = partsOf(tidy);
  if (parts === undefined) {
    if (tidy === text && !tidy.includes("/")) return undefined;
    parts = bucketAndFolder(tidy);
    if (parts.bucket === undefined) return undefined;
  }
  if (parts.bucket === undefined) return copiedSentence("bucket_unknown", parts);
  return copiedSentence(parts.folder === undefined ? "bucket_alone" : "bucket_with_folder", parts);
};

// The same for a prefix, which may begin with its bucket.
const insteadOfPrefix = (text, bucket) => {
  const parts = partsOf(tidied(text));
  if (parts !== undefined) {
    if (parts.folder !== undefined) return copiedSentence("folder_alone", parts);
    return copiedSentence(parts.bucket === undefined ? "folder_unknown" : "whole_bucket", parts);
  }
  const tidy = tidied(text);
  if (tidy !== text.replace(/^\/+|\/+$/g, "") && (tidy === "" || isFolder(tidy)))
    return copiedSentence(tidy === "" ? "whole_bucket" : "folder_without_blanks", { folder: tidy });
  const [first, rest] = split(text, "/");
  if (first !== bucket || !isBucket(first)) return undefined;
  const folder = folderOf(rest);
  return copiedSentence(folder === undefined ? "whole_bucket" : "folder_alone", { folder });
};
