// The buttons that copy a table, or a row of it.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy], button[data-copy-from]");
  if (!button) return;
  const source = button.dataset.copyFrom;
  const text = source ? document.getElementById(source).textContent : button.dataset.copy;
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // not allowed here: the older way
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
