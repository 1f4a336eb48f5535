// What the theme adds by script and leaves without a name or out of reach of a keyboard (axe).
const mend = () => {
  document.querySelectorAll(".md-search").forEach((each) => each.setAttribute("aria-label", "Search"));
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((each) => { each.tabIndex = 0; });
  document.querySelectorAll(".md-code__nav").forEach((each, at) => each.setAttribute("aria-label", `Copy code ${at + 1}`));
  const seen = new Map();
  document.querySelectorAll("nav[aria-label]").forEach((each) => {
    const label = each.dataset.label ?? (each.dataset.label = each.getAttribute("aria-label"));
    const key = label.toLowerCase(), count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    if (count > 1) each.setAttribute("aria-label", `${label} (${count})`);
  });
};
new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
mend();
