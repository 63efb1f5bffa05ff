import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { meQuery } from "../api/queries";

export function useTitle(page: string) {
  const { data: me } = useQuery(meQuery);
  const project = me?.project ?? "mlops-assets";
  useEffect(() => {
    document.title = `${page}, ${project}`;
  }, [page, project]);
}
