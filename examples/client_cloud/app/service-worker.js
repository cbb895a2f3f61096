// The app opens without a network: its files are kept, all of one version. VERSION and FILES stand above, written by
// the backend; a changed file makes another version, which is fetched whole before it takes over.
const CACHE = `harbour-desk-${VERSION}`;

self.addEventListener("install", (event) => {
  event.waitUntil(keep().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(forgetOthers().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const isKept = event.request.method === "GET" && url.origin === location.origin && FILES.includes(url.pathname);
  if (isKept) event.respondWith(answer(event.request, url.pathname));
});

async function keep() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })));
}

async function forgetOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
}

async function answer(request, path) {
  return (await caches.match(path, { cacheName: CACHE })) ?? fetch(request);
}
