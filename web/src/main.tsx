import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError, isSignedOut } from "./api/http";
import { sessionQuery } from "./api/queries";
import { createAppRouter } from "./router";
import "./styles/base.css";

const client = new QueryClient({
  queryCache: new QueryCache({
    onError: (error, query) => {
      // the cookie has run out while the page was open: the session query brings up the sign-in page
      const { queryKey } = sessionQuery();
      if (isSignedOut(error) && query.queryKey[0] !== queryKey[0]) {
        void client.invalidateQueries({ queryKey });
      }
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: false,
      retry: (failures, error) => failures < 1 && error instanceof ApiError && error.retryable,
      retryDelay: 400,
    },
  },
});

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no `#root`");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={createAppRouter()} />
    </QueryClientProvider>
  </StrictMode>,
);
