// A picture fills the window when it is chosen; without this script the page has everything but the zoom.
const dialog = document.querySelector("dialog");
for (const button of document.querySelectorAll(".pictures button")) {
  button.addEventListener("click", () => {
    const image = button.querySelector("img");
    const large = dialog.querySelector("img");
    large.src = image.src;
    large.alt = image.alt;
    dialog.showModal();
  });
}
if (dialog) dialog.addEventListener("click", () => dialog.close());
