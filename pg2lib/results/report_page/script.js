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
