// The buttons that copy a table.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy-from]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copyFrom).textContent;
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // not allowed: copy from a hidden text field
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const status = document.getElementById("copied");
  status.textContent = done ? `Copied: ${button.dataset.what}` : "This browser did not copy it.";
  clearTimeout(window.copiedTimer);
  window.copiedTimer = setTimeout(() => { status.textContent = ""; }, 4000);
});

// A link into a folded part unfolds it.
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target?.closest("details"); part; part = part.parentElement.closest("details")) {
    part.open = true;
  }
  target?.scrollIntoView();
};
addEventListener("hashchange", reveal);
if (location.hash) reveal();
document.addEventListener("click", (event) => {
  if (event.target.closest(`a[href="${CSS.escape(location.hash)}"]`)) reveal();  // there already
  if (!event.target.closest("button[data-unfold]")) return;
  for (const part of document.querySelectorAll("details")) part.open = true;
});
