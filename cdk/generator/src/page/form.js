// The form and what follows from it on the page.

const at = (id) => document.getElementById(id);

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

let state;
let ownId = "";

const controlOf = (field) => at(`field-${field.name}`);

const choice = (value, label = value) => {
  const option = make("option", { value });
  option.textContent = label;
  return option;
};

const built = (field) => {
  const id = `field-${field.name}`;
  const control = field.choices
    ? make("select", { id }, ...field.choices.map((value) => choice(value, field.labels?.[value])))
    : make("input", { id, type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  if (field.range) control.setAttribute("inputmode", "numeric");
  control.setAttribute("name", field.name);
  control.setAttribute("aria-describedby", `${id}-hint`);
  const label = make("label", { for: id }, field.label);
  if (field.default === null) {
    control.setAttribute("aria-required", "true");
    label.append(" ", make("span", { class: "needed" }, `(${said("required")})`));
  }
  return make(
    "div",
    { class: "field" },
    label,
    make("p", { class: "hint", id: `${id}-hint` }, field.description),
    make("p", { class: "error", id: `${id}-error`, hidden: "" }),
    control,
  );
};

const group = (label, fields) => make("fieldset", {}, make("legend", {}, label), ...fields.map(built));

const kindField = {
  name: "kind",
  label: TEXTS.kind_label,
  description: TEXTS.kind_description,
  default: DATA.kinds[0].id,
  choices: DATA.kinds.map((kind) => kind.id),
  labels: Object.fromEntries(DATA.kinds.map((kind) => [kind.id, TEXTS[`kind_${kind.id}`]])),
};

const build = () => {
  const [first, ...others] = state.kind.groups;
  const [region, ...further] = DATA.always;
  at("first").replaceChildren(...[...first.fields, region].map(built));
  const own = DATA.kinds.length > 1 ? [kindField, ...further] : further;
  const groups = others.filter((it) => it.fields.length > 0).map((it) => group(it.label, it.fields));
  at("rest").replaceChildren(group(said("stack_group"), own), ...groups);
  for (const field of fieldsOf(state.kind)) {
    const [control, value] = [controlOf(field), state.values.get(field.name)];
    // A choice that there is not is shown, so that it can be said that it is not one.
    if (field.choices && !field.choices.includes(value)) control.append(choice(value, value.slice(0, 60)));
    control.value = value;
  }
  if (DATA.kinds.length > 1) controlOf(kindField).value = state.kind.id;
};

const tell = (field, problem) => {
  const [control, error] = [controlOf(field), at(`field-${field.name}-error`)];
  error.hidden = problem === undefined;
  error.textContent = problem ?? "";
  const hint = `field-${field.name}-hint`;
  control.setAttribute("aria-describedby", problem === undefined ? hint : `${error.id} ${hint}`);
  if (problem === undefined) control.removeAttribute("aria-invalid");
  else control.setAttribute("aria-invalid", "true");
};

const look = (field) => {
  const problem = problemOf(field, state.values.get(field.name), state.values, state.kind.rules);
  tell(field, problem);
  return problem;
};

// Sees that every field is right; else lists what is not, and goes there.
const ready = () => {
  const problems = fieldsOf(state.kind).map((field) => [field, look(field)]).filter(([, problem]) => problem !== undefined);
  at("summary").hidden = problems.length === 0;
  at("summary-list").replaceChildren(
    ...problems.map(([field, problem]) => {
      const link = make("a", { href: `#field-${field.name}` }, problem);
      link.addEventListener("click", (event) => {
        event.preventDefault();
        if (at("more").contains(controlOf(field))) at("more").open = true;
        controlOf(field).focus();
      });
      return make("li", {}, link);
    }),
  );
  if (problems.length > 0) at("summary").focus();
  return problems.length === 0;
};

const items = (list, texts) => list.replaceChildren(...texts.map((text) => make("li", {}, text)));

const externalIdShown = () => (state.kind.id === "native" ? said("own_id") : said("automatic_id"));

const render = () => {
  const shown = new Map(state.values);
  if (shown.get("BucketName") === "") shown.set("BucketName", "BUCKET");
  const { permissions, trust } = documentsOf(shown, externalIdShown());
  at("permissions").textContent = JSON.stringify(permissions, null, 2);
  at("trust").textContent = JSON.stringify(trust, null, 2);
  const { can, cannot } = meaningOf(permissions, state.values);
  items(at("can"), can);
  items(at("cannot"), cannot);
  const used = sizeOf(permissions);
  at("meter").max = DATA.limit;
  at("meter").value = used;
  at("size").textContent = said("size", { used: used.toLocaleString("en"), most: DATA.limit.toLocaleString("en") });
  const link = consoleLink(state);
  at("launch-place").hidden = link === undefined;
  if (link !== undefined) at("launch").href = link;
  const region = state.values.get("region");
  const noLink = () => (DATA.buckets ? said("region_unpublished", { value: region.slice(0, 40) }) : said("launch_none"));
  at("launch-hint").textContent = link === undefined ? noLink() : said("launch_hint", { region });
  at("id-place").hidden = state.kind.id !== "native" || link === undefined;
  if (state.kind.id === "native" && ownId === "") ownId = randomText(32, "0123456789abcdef");
  at("id").textContent = ownId;
  at("copy-link").hidden = linkToMail(state) === undefined;
  const none = DATA.buckets ? "" : said("copy_none_hint", { file: state.kind.file });
  at("copy-link-hint").textContent =
    pageLink(state) !== undefined ? said("copy_link_hint") : link !== undefined ? said("copy_console_hint") : none;
  const mail = mailOf(state, can);
  at("mail-text").textContent = mail.body;
  at("mail").href = `mailto:?subject=${encode(mail.subject)}&body=${encode(mail.body.replaceAll("\n", "\r\n"))}`;
  const hint = DATA.buckets ? said("commands_hint") : said("commands_file_hint", { file: state.kind.file });
  const platformHint = DATA.platformFile ? ` ${said("commands_platform_hint", { file: DATA.platformFile })}` : "";
  at("commands-hint").textContent = hint + platformHint;
  at("aws").textContent = awsCommands(state);
  at("own").textContent = ownCommand(state);
};

const later = (wait, act) => {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  };
};

const keep = () => {
  if (location.hash !== fragmentOf(state)) history.replaceState(null, "", fragmentOf(state));
};
const keepSoon = later(300, keep);
const announce = later(1000, () => {
  at("updated").textContent = "";
  at("updated").textContent = said("updated");
});

const open = () => {
  const { kind, values, notices } = readFragment(location.hash);
  state = { kind, values };
  at("notice").hidden = notices.length === 0;
  at("notice").textContent = notices.join(" ");
  build();
  at("summary").hidden = true;
  // Whoever opens a link sees all that it fills in, and at once what of it cannot be.
  const filled = changed(kind, values).filter((field) => field.name !== "stack" && at("more").contains(controlOf(field)));
  if (filled.length > 0) at("more").open = true;
  for (const field of changed(kind, values)) if (values.get(field.name) !== "") look(field);
  render();
};

const select = (element) => {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
};

const copy = async (text, element) => {
  try {
    await navigator.clipboard.writeText(text);
    at("done").textContent = said("copied");
  } catch {
    element.hidden = false;
    element.textContent = text;
    select(element);
    at("done").textContent = said("not_copied");
  }
};

const changedKind = (id) => {
  const before = state.values;
  state.kind = kindOf(id);
  state.values = freshValues(state.kind);
  for (const [name, value] of before) if (state.values.has(name)) state.values.set(name, value);
  build();
  for (const field of changed(state.kind, state.values)) if (state.values.get(field.name) !== "") look(field);
  controlOf(kindField).focus();
};

const start = () => {
  at("without-script").hidden = true;
  at("app").hidden = false;
  open();
  const form = at("form");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target }) => {
    if (target.name === "kind") changedKind(target.value);
    else if (state.values.has(target.name)) state.values.set(target.name, tidy({ name: target.name }, target.value));
    render();
    keepSoon();
    announce();
  });
  form.addEventListener("focusout", ({ target }) => {
    const field = fieldsOf(state.kind).find((it) => it.name === target.name);
    if (!field) return;
    target.value = state.values.get(field.name);
    look(field);
  });
  window.addEventListener("hashchange", () => {
    if (location.hash !== fragmentOf(state)) open();
  });
  for (const id of ["launch", "mail"]) {
    at(id).addEventListener("click", (event) => {
      if (!ready()) event.preventDefault();
      else keep();
    });
  }
  at("copy-link").addEventListener("click", () => {
    if (!ready()) return;
    keep();
    copy(linkToMail(state), at("link"));
  });
  at("id-again").addEventListener("click", () => {
    ownId = "";
    render();
  });
  for (const button of document.querySelectorAll("[data-copy]")) {
    const element = at(button.dataset.copy);
    button.addEventListener("click", () => {
      if (ready()) copy(element.textContent, element);
    });
  }
};

start();
