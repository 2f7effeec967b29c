// The page: the playground follows the address, what is wider than the screen says so, and the digit.

{
  const play = document.getElementById("playground-window");
  const isSetup = () => location.hash.startsWith("#op=");
  const playground = Playground.mount(play, {
    address: isSetup() ? location.hash : play.dataset.address,
    changed: (address) => history.replaceState(null, "", address),
  });
  const show = () => document.getElementById("playground").scrollIntoView();
  if (isSetup()) show();
  addEventListener("hashchange", () => {
    if (!isSetup()) return;
    playground.load(location.hash);
    show();
  });
  globalThis.playground = playground; // for a reader's console, and for tests

  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const wide = target.scrollWidth > target.clientWidth + 1;
      target.classList.toggle("wide", wide);
      if (wide) target.setAttribute("tabindex", "0");
      else target.removeAttribute("tabindex");
    }
  });
  for (const region of document.querySelectorAll(".scrolls")) watch.observe(region);

  const digit = document.getElementById("digit-window");
  if (digit) {
    const data = JSON.parse(document.getElementById("digit-data").textContent);
    // After the first paint, which it would hold up.
    requestAnimationFrame(() =>
      setTimeout(() => {
        globalThis.digit = mountDigit(digit, data);
      }),
    );
  }
}
